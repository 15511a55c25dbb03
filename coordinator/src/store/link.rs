//! Permissions to read or write one object for a while. A cloud signs them with the coordinator's keys; without
//! a cloud we do, in the same spirit, and the coordinator's own HTTP server answers them.
//!
//! ```text
//!   BASE/objects/packs/0197…?expires=1767225600&size=33554432&sha256=…&signature=…
//!        └──── key ───────┘  └──── all of it, with the method, under HMAC-SHA256 ─────┘
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object_store::path::Path;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};
use ring::hmac;

use super::{Access, Link};

/// Under which name the links of this form are signed; a later form has another.
const FORM: &str = "kiln-object-link-1";

/// What a cloud wants to be told with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The content's SHA-256, bound to the signature, when it shall be checked.
    S3 {
        /// Whether it shall.
        checked: bool,
    },
    /// Nothing.
    Gcs,
    /// Which kind of blob it shall be.
    Azure,
}

impl Dialect {
    pub(super) async fn sign(
        self,
        signer: &dyn Signer,
        path: &Path,
        access: &Access,
        expires_in: Duration,
    ) -> object_store::Result<Link> {
        let Access::Write { sha256, .. } = access else {
            let url = signer.signed_url(Method::GET, path, expires_in).await?;
            return Ok(Link { url: url.into(), headers: Vec::new() });
        };
        let (options, headers) = match self {
            Self::S3 { checked: true } => {
                let digest = STANDARD.encode(sha256);
                let value = HeaderValue::from_str(&digest).expect("base64 is printable ASCII");
                let name = HeaderName::from_static("x-amz-checksum-sha256");
                let headers = vec![(name.as_str().to_owned(), digest)];
                (SignedUrlOptions::new().with_signed_header(name, value), headers)
            }
            Self::S3 { checked: false } | Self::Gcs => (SignedUrlOptions::new(), Vec::new()),
            Self::Azure => {
                (SignedUrlOptions::new(), vec![("x-ms-blob-type".to_owned(), "BlockBlob".to_owned())])
            }
        };
        let url = signer.signed_url_opts(Method::PUT, path, expires_in, &options).await?;
        Ok(Link { url: url.into(), headers })
    }
}

/// Why a link is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedLink {
    /// It lacks something.
    #[error("the link is incomplete")]
    Incomplete,
    /// Its time is over.
    #[error("the link has expired; ask for a new one")]
    Expired,
    /// It was not signed by this farm, or was changed.
    #[error("the signature of the link is wrong")]
    Forged,
}

/// Signs links, and checks them. Clones have the same key.
#[derive(Clone)]
pub struct Links {
    base: Arc<str>,
    key: Arc<hmac::Key>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Links({})", self.base)
    }
}

/// The parts of a link's query.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkQuery<'a> {
    /// Seconds since the Unix epoch.
    pub(crate) expires: Option<&'a str>,
    /// Bytes; only to write.
    pub(crate) size: Option<&'a str>,
    /// Hex; only to write.
    pub(crate) sha256: Option<&'a str>,
    /// Hex.
    pub(crate) signature: Option<&'a str>,
}

impl<'a> LinkQuery<'a> {
    /// Reads what stands after the question mark.
    pub(crate) fn parse(query: &'a str) -> Self {
        let mut parts = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "expires" => parts.expires = Some(value),
                "size" => parts.size = Some(value),
                "sha256" => parts.sha256 = Some(value),
                "signature" => parts.signature = Some(value),
                _ => {}
            }
        }
        parts
    }
}

fn signed_text(method: &str, key: &str, expires: &str, write: Option<(&str, &str)>) -> String {
    let (size, sha256) = write.unwrap_or_default();
    format!("{FORM}\n{method}\n{key}\n{expires}\n{size}\n{sha256}")
}

impl Links {
    /// Links below `base`, as `https://farm.example.org:7443`, signed with `key`, which every coordinator of the
    /// farm must have.
    pub fn new(base: &str, key: &[u8; 32]) -> Self {
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key));
        Self { base: base.trim_end_matches('/').into(), key }
    }

    pub(super) fn sign(&self, key: &str, access: &Access, expires_in: Duration) -> Link {
        let expires = (now() + expires_in.as_secs()).to_string();
        let (method, write) = match access {
            Access::Read => ("GET", None),
            Access::Write { size, sha256 } => ("PUT", Some((size.to_string(), hex::encode(sha256)))),
        };
        let pair = write.as_ref().map(|(size, sha256)| (size.as_str(), sha256.as_str()));
        let text = signed_text(method, key, &expires, pair);
        let signature = hex::encode(hmac::sign(&self.key, text.as_bytes()));
        let write = pair.map_or(String::new(), |(size, sha256)| format!("&size={size}&sha256={sha256}"));
        let base = &self.base;
        let url = format!("{base}/objects/{key}?expires={expires}{write}&signature={signature}");
        Link { url, headers: Vec::new() }
    }

    /// What a request with this link may do.
    pub(crate) fn check(&self, method: &str, key: &str, query: LinkQuery<'_>) -> Result<Access, RefusedLink> {
        let (Some(expires), Some(signature)) = (query.expires, query.signature) else {
            return Err(RefusedLink::Incomplete);
        };
        let writes = method == "PUT";
        let write = match (writes, query.size, query.sha256) {
            (false, _, _) => None,
            (true, Some(size), Some(sha256)) => Some((size, sha256)),
            (true, _, _) => return Err(RefusedLink::Incomplete),
        };
        let signature = hex::decode(signature).map_err(|_| RefusedLink::Forged)?;
        let text = signed_text(method, key, expires, write);
        hmac::verify(&self.key, text.as_bytes(), &signature).map_err(|_| RefusedLink::Forged)?;
        // Signed by us, so what follows is well formed; a fault is told as a forgery all the same.
        if expires.parse::<u64>().map_err(|_| RefusedLink::Forged)? <= now() {
            return Err(RefusedLink::Expired);
        }
        let Some((size, sha256)) = write else { return Ok(Access::Read) };
        let mut digest = [0; 32];
        hex::decode_to_slice(sha256, &mut digest).map_err(|_| RefusedLink::Forged)?;
        Ok(Access::Write { size: size.parse().map_err(|_| RefusedLink::Forged)?, sha256: digest })
    }
}

/// Links are made and checked by the same coordinators, so their clock is the only one that matters.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
