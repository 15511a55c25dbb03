//! How long, and how often, a farm that is out of reach is asked again: after pauses that grow, of which each is a little
//! different, so that a hundred programs that lost the same coordinator don't come back at the same moment.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause at most, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);

/// What is left of somebody's patience.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Patience for so long from now on.
    pub(crate) fn of(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, pause: FIRST }
    }

    /// Waits before the next try: from half of a time to all of it, which doubles up to [`LONGEST`]. `false`, at once, when
    /// the patience has run out. May be dropped while waiting.
    pub(crate) async fn pause(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        let pause = jittered(self.pause, chance());
        self.pause = (self.pause * 2).min(LONGEST);
        tokio::time::sleep(pause).await;
        true
    }
}

/// Between half of a time, for 0, and all of it.
fn jittered(pause: Duration, chance: u8) -> Duration {
    pause / 2 + pause / 2 * u32::from(chance) / u32::from(u8::MAX)
}

fn chance() -> u8 {
    uuid::Uuid::new_v4().as_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_least_half_and_at_most_all_of_its_time() {
        let second = Duration::from_secs(1);
        assert_eq!([0, 255].map(|chance| jittered(second, chance)), [second / 2, second]);
        assert!(jittered(second, 128) > second / 2 && jittered(second, 128) < second);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_runs_out_after_its_time_and_pauses_grow_until_then() {
        let began = Instant::now();
        let mut patience = Patience::of(Duration::from_secs(60));
        let mut pauses = Vec::new();
        loop {
            let before = Instant::now();
            if !patience.pause().await {
                break;
            }
            pauses.push(before.elapsed());
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(60) && took <= Duration::from_secs(60) + LONGEST, "{took:?}");
        assert!(pauses[0] <= FIRST && pauses.iter().all(|pause| *pause <= LONGEST + FIRST), "{pauses:?}");
        assert!((8..40).contains(&pauses.len()), "{pauses:?}");
    }
}
