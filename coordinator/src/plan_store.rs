//! The plans, by content, beside the ledger: plans are large, and the ledger only needs to know which.
//!
//! Plans hold secrets. They are kept as private as the ledger itself.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Bytes;

mod directory;
mod memory;

#[cfg(test)]
mod tests;

use crate::ledger::Storage;

/// A plan could not be stored, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} plan {}", path.display())]
pub struct PlanStoreError {
    /// What was tried, as in `write`.
    pub operation: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Keeps plans by the digest of their bytes.
#[async_trait]
pub(crate) trait PlanStore: Debug + Send + Sync {
    /// Keeps a plan, and returns its digest. Keeping it twice is keeping it once.
    ///
    /// # Errors
    /// When it could not be written.
    async fn put(&self, plan: Bytes) -> Result<Fingerprint, PlanStoreError>;

    /// The plan with this digest, if it is kept.
    ///
    /// # Errors
    /// When it could not be read.
    async fn get(&self, plan: Fingerprint) -> Result<Option<Bytes>, PlanStoreError>;

    /// Drops a plan. Dropping one that isn't kept does nothing.
    ///
    /// # Errors
    /// When it could not be removed.
    async fn remove(&self, plan: Fingerprint) -> Result<(), PlanStoreError>;
}

/// The store that belongs to a ledger.
///
/// # Errors
/// When its directory could not be made.
pub(crate) fn open(storage: &Storage) -> Result<Arc<dyn PlanStore>, PlanStoreError> {
    match storage {
        Storage::Memory => Ok(Arc::new(memory::Memory::default())),
        Storage::Directory(path) => Ok(Arc::new(directory::Directory::open(path.join("plans"))?)),
    }
}
