//! The mark that a farm leaves in its object store. Two farms that share one would collect each other's chunks as garbage,
//! and a coordinator with a store of its own would not find what the others keep; both are found out by the mark.

use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Bytes;

use super::{Store, StoreError};

/// Where it lies.
const KEY: &str = "farm";

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody has marked it.
    Nobody,
    /// The farm with this authority: the SHA-256 of its certificate.
    Farm(Fingerprint),
    /// The mark can't be read: a later version wrote it, or it isn't one.
    Unknown,
}

impl Store {
    /// Whose store it is.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn owner(&self) -> Result<Owner, StoreError> {
        let Some(mark) = self.get(KEY).await? else { return Ok(Owner::Nobody) };
        let text = std::str::from_utf8(&mark).unwrap_or_default();
        Ok(text.trim().parse().map_or(Owner::Unknown, Owner::Farm))
    }

    /// Makes it the store of the farm with this authority.
    ///
    /// # Errors
    /// When the store doesn't take the mark.
    pub async fn mark(&self, farm: Fingerprint) -> Result<(), StoreError> {
        self.put(KEY, Bytes::from(format!("{farm}\n"))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreSettings;

    #[tokio::test]
    async fn a_store_says_whose_it_is() {
        let store = Store::open(&StoreSettings::Memory).unwrap();
        assert_eq!(store.owner().await.unwrap(), Owner::Nobody);
        let farm = Fingerprint::of_bytes(b"authority");
        store.mark(farm).await.unwrap();
        assert_eq!(store.owner().await.unwrap(), Owner::Farm(farm));
        store.put(KEY, Bytes::from_static(b"of a later version")).await.unwrap();
        assert_eq!(store.owner().await.unwrap(), Owner::Unknown);
    }
}
