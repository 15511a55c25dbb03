//! Where the farm is, and the way there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kiln_proto::transport::Endpoint;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How often a silent connection is tried, and how long it may then stay silent.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where a coordinator listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// On this machine, at a socket that its directory's rights protect: `unix:/PATH`. No certificates are used there.
    Local(PathBuf),
    /// Somewhere, behind TLS: `https://HOST:PORT`.
    Remote(Endpoint),
}

/// Where all coordinators of a farm are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farm {
    /// There is one, on this machine.
    Local(PathBuf),
    /// These, at least one.
    Remote(Vec<Endpoint>),
}

/// A text is no address, or addresses are of no farm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is none.
    #[error(
        "{text:?} is no address of a coordinator: {reason}; write https://HOST:PORT, or unix:/PATH for one on this machine"
    )]
    None {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is none.
    #[error("no coordinator is named; say where one is, as https://HOST:PORT")]
    Nowhere,
    /// A farm is on this machine or elsewhere.
    #[error("a farm with a coordinator at unix:/PATH has no other; name that one alone")]
    Mixed,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |reason| AddressError::None { text: text.to_owned(), reason };
        match text.strip_prefix("unix:").map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(Self::Local(path)),
            Some(_) => Err(wrong("its path is not absolute")),
            None => text
                .parse()
                .map(Self::Remote)
                .map_err(|error: kiln_proto::transport::EndpointError| wrong(error.reason)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "unix:{}", path.display()),
            Self::Remote(endpoint) => endpoint.fmt(f),
        }
    }
}

impl Farm {
    /// The farm at these addresses.
    ///
    /// # Errors
    /// When there are none, or they are of different kinds.
    pub fn at(addresses: &[Address]) -> Result<Self, AddressError> {
        match addresses {
            [] => Err(AddressError::Nowhere),
            [Address::Local(path)] => Ok(Self::Local(path.clone())),
            several => {
                let remote = |address: &Address| match address {
                    Address::Local(_) => Err(AddressError::Mixed),
                    Address::Remote(endpoint) => Ok(endpoint.clone()),
                };
                several.iter().map(remote).collect::<Result<_, _>>().map(Self::Remote)
            }
        }
    }
}

/// A channel to a coordinator on this machine, found anew whenever the connection breaks.
pub(super) fn dial_local(path: &Path) -> Channel {
    let path = path.to_owned();
    let connect = move |_: Uri| {
        let path = path.clone();
        async move {
            let connected = tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(&path)).await;
            connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map(TokioIo::new)
        }
    };
    // The name is never looked up; it only has to be one.
    tonic::transport::Endpoint::from_static("http://farm.invalid")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(tower::service_fn(connect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farm_is_on_this_machine_or_behind_tls() {
        let table = [
            ("unix:/run/kiln.sock", "Local(\"/run/kiln.sock\")"),
            ("unix:kiln.sock", "is no address of a coordinator: its path is not absolute"),
            ("http://a", "is no address of a coordinator: the farm speaks TLS only"),
            ("unix:/a unix:/b", "has no other"),
            ("unix:/a https://b", "has no other"),
            ("", "no coordinator is named"),
        ];
        for (text, expected) in table {
            let addresses: Result<Vec<Address>, _> = text.split_whitespace().map(str::parse).collect();
            let told = match addresses.and_then(|all| Farm::at(&all)) {
                Ok(farm) => format!("{farm:?}"),
                Err(error) => error.to_string(),
            };
            assert!(told.contains(expected), "{text}: {told}");
        }
        let both: Vec<Address> = ["https://a", "https://b:1"].map(|text| text.parse().unwrap()).into();
        assert!(matches!(Farm::at(&both), Ok(Farm::Remote(endpoints)) if endpoints.len() == 2));
    }
}
