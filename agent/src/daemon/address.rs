//! Where the farm is, and the way there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where a coordinator listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// On this machine, at a socket that its directory's rights protect.
    Local(PathBuf),
}

/// A text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a coordinator; write unix:/PATH")]
pub struct AddressError {
    text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError { text: text.to_owned() };
        let path = PathBuf::from(text.strip_prefix("unix:").ok_or_else(wrong)?);
        if path.is_absolute() { Ok(Self::Local(path)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A channel to the first of these that answers, found anew whenever the connection breaks.
pub(super) fn dial(addresses: &[Address]) -> Channel {
    let addresses = addresses.to_vec();
    let connect = move |_: Uri| {
        let addresses = addresses.clone();
        async move {
            let mut last = std::io::Error::from(std::io::ErrorKind::NotConnected);
            for Address::Local(path) in &addresses {
                match tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(path)).await {
                    Ok(Ok(stream)) => return Ok(TokioIo::new(stream)),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = std::io::ErrorKind::TimedOut.into(),
                }
            }
            Err(last)
        }
    };
    // The name is never looked up; it only has to be one.
    Endpoint::from_static("http://farm.invalid").connect_with_connector_lazy(tower::service_fn(connect))
}
