//! The leader's ear: who was heard of when, by this machine's monotonic clock. Renewals end here and never reach the
//! ledger; see [`kiln_model::liveness`].

use std::sync::{Mutex, PoisonError};

use kiln_model::Liveness;
use tokio::time::Instant;

/// Who was heard of when.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    liveness: Mutex<Liveness>,
}

impl Pulse {
    /// Begins to listen.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), liveness: Mutex::default() }
    }

    /// Works with what was heard; the number is now.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Liveness, u64) -> T) -> T {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        work(&mut self.liveness.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}
