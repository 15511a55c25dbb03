//! The coordinator's clock: wall time at the start, carried on by the monotonic clock, so that leases don't
//! jump when somebody sets the machine's time, and tests can stop it.
//!
//! The farm's time must not stand still for an hour because the new leader's clock is an hour behind the old one's: a
//! leader's clock goes on from where the farm's time is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use kiln_model::Timestamp;
use tokio::time::Instant;

/// Tells the time. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    began: Instant,
    wall_ms: u64,
    /// By how much it was put forward.
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that is right now.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Self { began: Instant::now(), wall_ms, ahead_ms: Arc::default() }
    }

    /// Goes on from `farm`, if that lies ahead.
    pub(crate) fn catch_up(&self, farm: Timestamp) {
        let behind = farm.ms_since(self.now());
        if behind > 0 {
            tracing::warn!(
                behind,
                "this machine's clock is behind the farm's; going on from the farm's time"
            );
            self.ahead_ms.fetch_add(behind, Ordering::Relaxed);
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.wall_ms).plus_ms(passed).plus_ms(self.ahead_ms.load(Ordering::Relaxed))
    }
}
