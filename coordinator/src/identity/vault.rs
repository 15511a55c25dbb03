//! The part of the object store where secrets lie: what is put into it is sealed with the farm key on its way, and opened on
//! its way back, so that a copy of the store gives nobody a secret. Each object is sealed as what its key says,
//! so none can be passed off as another.

use kiln_proto::Bytes;

use super::farm_key::{OpenSealedError, Sealer};
use crate::store::{Store, StoreError};

/// A store with a lock. In a farm that has no key, which keeps nothing beyond its process, it has none.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    store: Store,
    sealer: Option<Sealer>,
}

impl From<Store> for Vault {
    /// Without a lock.
    fn from(store: Store) -> Self {
        Self { store, sealer: None }
    }
}

impl Vault {
    pub(crate) fn new(store: Store, sealer: Option<&Sealer>) -> Self {
        Self { store, sealer: sealer.cloned() }
    }

    /// The store itself, for what needs no opening.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Seals and keeps an object.
    ///
    /// # Errors
    /// When the store fails, or the system gives no random bytes.
    pub(crate) async fn put(&self, key: &str, plain: Bytes) -> Result<(), StoreError> {
        let object = match &self.sealer {
            Some(sealer) => sealer.seal(key, &plain).map_err(|error| failed("seal", key, error))?.into(),
            None => plain,
        };
        self.store.put(key, object).await
    }

    /// Reads and opens an object, if it is kept.
    ///
    /// # Errors
    /// When the store fails, or the object was sealed with a key that is not here, or changed.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.open(key, self.store.get(key).await?).map_err(|error| failed("unseal", key, error))
    }

    /// Whether an object is kept and can be opened. One whose key was taken away counts as gone: who made it can make it
    /// again.
    ///
    /// # Errors
    /// When the store fails, or the object is damaged.
    pub(crate) async fn has(&self, key: &str) -> Result<bool, StoreError> {
        match self.open(key, self.store.get(key).await?) {
            Ok(object) => Ok(object.is_some()),
            Err(OpenSealedError::UnknownKey { .. }) => Ok(false),
            Err(error) => Err(failed("unseal", key, error)),
        }
    }

    fn open(&self, key: &str, object: Option<Bytes>) -> Result<Option<Bytes>, OpenSealedError> {
        let (Some(sealer), Some(object)) = (&self.sealer, &object) else { return Ok(object) };
        Ok(Some(sealer.open(key, object)?.into()))
    }
}

fn failed(
    operation: &'static str,
    key: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Seal { operation, key: key.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreSettings;

    #[tokio::test]
    async fn what_lies_in_the_vault_is_sealed_as_what_it_is() {
        let store = Store::open(&StoreSettings::Memory).unwrap();
        let sealer = Sealer::generate().unwrap();
        let vault = Vault::new(store.clone(), Some(&sealer));
        let secret = Bytes::from_static(b"{\"password\": \"correct horse\"}");
        vault.put("plans/1", secret.clone()).await.unwrap();
        assert_eq!(vault.get("plans/1").await.unwrap(), Some(secret));
        assert_eq!(vault.get("plans/2").await.unwrap(), None);
        assert!(vault.has("plans/1").await.unwrap() && !vault.has("plans/2").await.unwrap());
        let other = Vault::new(store.clone(), Some(&Sealer::generate().unwrap()));
        assert!(!other.has("plans/1").await.unwrap(), "what another key sealed counts as gone");
        let sealed = store.get("plans/1").await.unwrap().unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"correct"));
        store.put("plans/2", sealed).await.unwrap();
        let error = kiln_plan::fault::chain(&vault.get("plans/2").await.unwrap_err());
        assert_eq!(error, "the object store could not unseal plans/2: a sealed plans/2 is damaged");
    }
}
