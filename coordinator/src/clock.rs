//! The coordinator's clock: wall time at the start, carried on by the monotonic clock, so that leases don't
//! jump when somebody sets the machine's time, and tests can stop it.

use std::time::{SystemTime, UNIX_EPOCH};

use kiln_model::Timestamp;
use tokio::time::Instant;

/// Tells the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    wall_ms: u64,
}

impl Clock {
    /// A clock that is right now.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.wall_ms).plus_ms(passed)
    }
}
