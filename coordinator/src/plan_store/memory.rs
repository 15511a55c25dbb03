//! Plans in memory: they end with the process, as a farm of one does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Bytes;

use super::{PlanStore, PlanStoreError};

/// A table of plans.
#[derive(Default)]
pub(super) struct Memory {
    plans: Mutex<BTreeMap<Fingerprint, Bytes>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Fingerprint, Bytes>) -> T) -> T {
        work(&mut self.plans.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl PlanStore for Memory {
    async fn put(&self, plan: Bytes) -> Result<Fingerprint, PlanStoreError> {
        let fingerprint = Fingerprint::of_bytes(&plan);
        self.with(|plans| plans.insert(fingerprint, plan));
        Ok(fingerprint)
    }

    async fn get(&self, plan: Fingerprint) -> Result<Option<Bytes>, PlanStoreError> {
        Ok(self.with(|plans| plans.get(&plan).cloned()))
    }

    async fn remove(&self, plan: Fingerprint) -> Result<(), PlanStoreError> {
        self.with(|plans| plans.remove(&plan));
        Ok(())
    }
}
