//! The plans, by content, in the object store: plans are large, and the ledger only needs to know which. They hold
//! secrets, and are sealed.

use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Bytes;

#[cfg(test)]
mod tests;

use crate::identity::vault::Vault;
use crate::store::StoreError;

/// Keeps plans by the digest of their bytes.
#[derive(Clone, Debug)]
pub(crate) struct PlanStore {
    vault: Vault,
}

fn key(plan: Fingerprint) -> String {
    format!("plans/{}", plan.to_string().trim_start_matches("sha256:"))
}

impl PlanStore {
    /// The plans of a store.
    pub(crate) fn new(vault: impl Into<Vault>) -> Self {
        Self { vault: vault.into() }
    }

    /// Keeps a plan, and returns its digest. Keeping it twice is keeping it once.
    ///
    /// # Errors
    /// When it could not be written.
    pub(crate) async fn put(&self, plan: Bytes) -> Result<Fingerprint, StoreError> {
        let fingerprint = Fingerprint::of_bytes(&plan);
        self.vault.put(&key(fingerprint), plan).await?;
        Ok(fingerprint)
    }

    /// The plan with this digest, if it is kept.
    ///
    /// # Errors
    /// When it could not be read.
    pub(crate) async fn get(&self, plan: Fingerprint) -> Result<Option<Bytes>, StoreError> {
        self.vault.get(&key(plan)).await
    }

    /// Drops a plan. Dropping one that isn't kept does nothing.
    ///
    /// # Errors
    /// When it could not be removed.
    pub(crate) async fn remove(&self, plan: Fingerprint) -> Result<(), StoreError> {
        self.vault.store().delete(&key(plan)).await
    }
}
