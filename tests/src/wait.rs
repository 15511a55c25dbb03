//! Bounded waits on conditions: a test never sleeps and hopes.

use std::time::{Duration, Instant};

/// Between two looks at a condition.
const PERIOD: Duration = Duration::from_millis(20);

/// Looks until `condition` yields something.
///
/// # Panics
/// When `limit` has passed; the panic names `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        std::thread::park_timeout(PERIOD);
    }
}
