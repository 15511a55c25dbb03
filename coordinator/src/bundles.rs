//! The bundles of submissions, by content, in the object store.
//!
//! ```text
//!   parts come in ──► gathered, bounded ──► unpacked and looked at ──► bundles/<digest>/0, 1, … ──► bundles/<digest>/whole
//! ```
//!
//! A bundle counts once its last object is there, so one that broke off half-way is no bundle. Bundles are kept as
//! private as plans, sealed with the farm key: a template's directory may hold secrets.

use std::time::Duration;

use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::bundle::{BundleError, BundleFiles, LARGEST_BUNDLE};
use kiln_proto::{Bytes, Code, Problem, rest};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::identity::vault::Vault;
use crate::store::StoreError;

#[cfg(test)]
mod tests;

/// The format of the object that says that a bundle is whole.
const FORMAT: u32 = 1;

/// How slowly a bundle may come in, in bytes a second, once this has passed.
const SLOWEST: u64 = 64 << 10;
const GRACE: Duration = Duration::from_secs(30);

/// Bytes of one object of a bundle.
const PART: usize = 16 << 20;

/// A bundle could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundlesError {
    /// The object store failed.
    #[error("failed to keep or read a bundle")]
    Store(#[from] StoreError),
    /// It is not what a bundle may be.
    #[error("the bundle was refused")]
    Refused(#[from] BundleError),
    /// What lies in the store is damaged.
    #[error("bundle {0} is damaged in the store; submit it again")]
    Damaged(Fingerprint),
}

impl From<BundlesError> for Problem {
    fn from(error: BundlesError) -> Self {
        let code = match error {
            BundlesError::Store(ref error) if error.may_pass() => Code::Unavailable,
            BundlesError::Store(_) => Code::Internal,
            BundlesError::Refused(BundleError::TooLarge | BundleError::TooMany) => Code::TooLarge,
            BundlesError::Refused(_) => Code::Invalid,
            BundlesError::Damaged(_) => Code::Internal,
        };
        Self::from_error(code, &error)
    }
}

/// What lies beside the parts of a whole bundle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Whole {
    parts: usize,
    bytes: usize,
}

/// The bundles of a store.
#[derive(Debug)]
pub(crate) struct Bundles {
    vault: Vault,
}

/// A bundle that is coming in, part by part. It lies in memory until it is whole, so only a few come in at once
/// ([`crate::grpc`] sees to that).
#[derive(Debug)]
pub(crate) struct Incoming {
    digest: Fingerprint,
    bytes: Vec<u8>,
    began: Instant,
}

fn folder(digest: Fingerprint) -> String {
    format!("bundles/{}", digest.to_string().trim_start_matches("sha256:"))
}

impl Bundles {
    /// The bundles of a store.
    pub(crate) fn new(vault: impl Into<Vault>) -> Self {
        Self { vault: vault.into() }
    }

    async fn whole(&self, digest: Fingerprint) -> Result<Option<Whole>, BundlesError> {
        let Some(record) = self.vault.get(&format!("{}/whole", folder(digest))).await? else {
            return Ok(None);
        };
        let damaged = |_| BundlesError::Damaged(digest);
        let (_, body) = rest::open("bundle", FORMAT, &record).map_err(|_| BundlesError::Damaged(digest))?;
        serde_json::from_slice(&body).map(Some).map_err(damaged)
    }

    /// Whether a bundle is kept.
    ///
    /// # Errors
    /// When the store doesn't answer.
    pub(crate) async fn has(&self, digest: Fingerprint) -> Result<bool, BundlesError> {
        Ok(self.vault.has(&format!("{}/whole", folder(digest))).await?)
    }

    /// Begins to take a bundle in.
    pub(crate) fn begin(digest: Fingerprint) -> Incoming {
        Incoming { digest, bytes: Vec::new(), began: Instant::now() }
    }

    /// Keeps a bundle that has come in.
    ///
    /// # Errors
    /// When it is not what its digest says, contains what a bundle may not, or could not be written.
    pub(crate) async fn keep(&self, incoming: Incoming) -> Result<(), BundlesError> {
        let Incoming { digest, bytes, .. } = incoming;
        let bytes = Bytes::from(bytes);
        unpack(bytes.clone(), digest).await?;
        let folder = folder(digest);
        let whole = Whole { parts: bytes.len().div_ceil(PART), bytes: bytes.len() };
        for (index, start) in (0..bytes.len()).step_by(PART).enumerate() {
            let part = bytes.slice(start..(start + PART).min(bytes.len()));
            self.vault.put(&format!("{folder}/{index}"), part).await?;
        }
        let body = serde_json::to_vec(&whole).expect("two numbers always serialise");
        self.vault.put(&format!("{folder}/whole"), rest::seal(FORMAT, body).into()).await?;
        Ok(())
    }

    /// A bundle as it was packed; `None` when it isn't kept.
    ///
    /// # Errors
    /// When it could not be read whole.
    pub(crate) async fn packed(&self, digest: Fingerprint) -> Result<Option<Bytes>, BundlesError> {
        let Some(whole) = self.whole(digest).await? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(whole.bytes);
        for index in 0..whole.parts {
            let part = self.vault.get(&format!("{}/{index}", folder(digest))).await?;
            bytes.extend_from_slice(&part.ok_or(BundlesError::Damaged(digest))?);
        }
        if bytes.len() != whole.bytes {
            return Err(BundlesError::Damaged(digest));
        }
        Ok(Some(bytes.into()))
    }

    /// The files of a bundle; `None` when it isn't kept.
    ///
    /// # Errors
    /// When it could not be read whole.
    pub(crate) async fn files(&self, digest: Fingerprint) -> Result<Option<BundleFiles>, BundlesError> {
        match self.packed(digest).await? {
            Some(packed) => Ok(Some(unpack(packed, digest).await?)),
            None => Ok(None),
        }
    }

    /// Drops a bundle. Its last object goes first, so that it counts no more.
    ///
    /// # Errors
    /// When the store fails; what is left is dropped the next time.
    pub(crate) async fn remove(&self, digest: Fingerprint) -> Result<(), BundlesError> {
        let folder = folder(digest);
        self.vault.store().delete(&format!("{folder}/whole")).await?;
        for object in self.vault.store().list(&folder).await? {
            self.vault.store().delete(&object.key).await?;
        }
        Ok(())
    }
}

impl Incoming {
    /// Until when the next part must be there: whoever trickles keeps others from sending theirs.
    pub(crate) fn deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.bytes.len() as u64 / SLOWEST);
        self.began + GRACE + earned
    }

    /// Takes a part.
    ///
    /// # Errors
    /// When that makes it too large.
    pub(crate) fn take(&mut self, part: &[u8]) -> Result<(), BundlesError> {
        if (self.bytes.len() + part.len()) as u64 > LARGEST_BUNDLE {
            return Err(BundleError::TooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }
}

/// Unpacking takes its time, so it has a thread of its own.
async fn unpack(packed: Bytes, digest: Fingerprint) -> Result<BundleFiles, BundlesError> {
    let unpacked = tokio::task::spawn_blocking(move || BundleFiles::unpack(&packed, digest)).await;
    Ok(unpacked.map_err(|_| BundlesError::Damaged(digest))??)
}
