//! What the attempts have met, for the error in the end: the last one in full, all of them by kind.

use kiln_plan::Failure;
use kiln_plan::fault::{Fault, chain};
use tokio::time::Instant;

use super::AttemptError;

/// What the attempts have met.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Runs of attempts that failed the same way, in order.
    runs: Vec<Run>,
    last: Option<AttemptError>,
    began: Option<Instant>,
}

#[derive(Debug)]
struct Run {
    kind: &'static str,
    times: u32,
    /// When it began and ended, in seconds since the first failure.
    from: u64,
    to: u64,
}

/// How many runs are told of; a guest that wavers would fill the screen.
const MAX_RUNS: usize = 8;

impl Seen {
    pub(super) fn note(&mut self, error: AttemptError) {
        let now = self.began.get_or_insert_with(Instant::now).elapsed().as_secs();
        let kind = error.kind();
        match self.runs.last_mut().filter(|r| r.kind == kind) {
            Some(run) => {
                run.times += 1;
                run.to = now;
            }
            None => self.runs.push(Run { kind, times: 1, from: now, to: now }),
        }
        self.last = Some(error);
    }

    /// A failure that says `what`, and what was seen.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let Some(last) = &self.last else {
            return Failure::new(Fault::Guest, format!("{what}: no attempt had come to an end"));
        };
        let failure = Failure::new(Fault::Guest, format!("{what}: {}", chain(last))).hint(last.hint());
        let skipped = self.runs.len().saturating_sub(MAX_RUNS);
        let told = self.runs.iter().skip(skipped).map(|r| {
            let times = if r.times == 1 { "once".to_owned() } else { format!("{} times", r.times) };
            format!("second {} to {}: {} {times}", r.from, r.to, r.kind)
        });
        let earlier = (skipped > 0).then(|| format!("{skipped} earlier changes are left out"));
        earlier.into_iter().chain(told).fold(failure, Failure::evidence)
    }
}
