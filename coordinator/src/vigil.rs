//! How long this coordinator has been watching without a gap. Whoever slept or stalled may not conclude that
//! the others were silent: it gives everybody a full term from its awakening on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Longer between two looks means that the coordinator itself was away. Looks are a second apart.
const GAP: Duration = Duration::from_secs(5);

/// The watch.
#[derive(Debug)]
pub(crate) struct Vigil {
    /// Since when, and the latest look.
    kept: Mutex<(Instant, Instant)>,
}

impl Vigil {
    /// Begins to watch.
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self { kept: Mutex::new((now, now)) }
    }

    /// Begins anew: what was before is not this coordinator's to judge.
    pub(crate) fn restart(&self) {
        let now = Instant::now();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = (now, now);
    }

    /// Looks, and tells for how long there has been no gap.
    pub(crate) fn look(&self) -> Duration {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(kept.1) > GAP {
            kept.0 = now;
        }
        kept.1 = now;
        now.duration_since(kept.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gap_begins_the_watch_anew() {
        let vigil = Vigil::begin();
        for _ in 0..30 {
            tokio::time::advance(Duration::from_secs(1)).await;
            vigil.look();
        }
        assert_eq!(vigil.look(), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(vigil.look(), Duration::ZERO);
    }
}
