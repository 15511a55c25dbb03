//! What an attempt can overrun: its deadline, and the time it may show no progress. Such an attempt is cancelled
//! on its agent and fails by its guest's fault, since a guest that hangs would hang elsewhere too.

use kiln_plan::{Failure, Fault, Terms};
use serde::{Deserialize, Serialize};

use crate::lease::Lease;
use crate::time::Timestamp;

/// What an attempt has overrun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overrun {
    /// The time that one attempt may take.
    Deadline,
    /// The time without progress.
    Progress {
        /// How long the leader saw none, in milliseconds.
        idle_ms: u64,
    },
}

impl Overrun {
    /// What an attempt has overrun by now; `None` when it is within its limits.
    pub fn of(terms: &Terms, lease: &Lease, idle_ms: u64, now: Timestamp) -> Option<Self> {
        let both = [Self::Deadline, Self::Progress { idle_ms }];
        both.into_iter().find(|overrun| overrun.holds(terms, lease, now))
    }

    /// Whether it is true of an attempt.
    pub fn holds(self, terms: &Terms, lease: &Lease, now: Timestamp) -> bool {
        match self {
            Self::Deadline => terms.deadline_ms.is_some_and(|most| now.ms_since(lease.granted) >= most),
            Self::Progress { idle_ms } => terms.no_progress_ms.is_some_and(|most| idle_ms >= most),
        }
    }

    /// The failure that it amounts to.
    pub fn failure(self, terms: &Terms, lease: &Lease, now: Timestamp) -> Failure {
        let took = spell(now.ms_since(lease.granted));
        match self {
            Self::Deadline => Failure::new(
                Fault::Guest,
                format!("the build took {took}, more than the {} it may take", spell(terms.deadline_ms.unwrap_or_default())),
            )
            .hint("give it more with timeout in the task block of the *.kiln.hcl file, or look at what it waits for"),
            Self::Progress { idle_ms } => Failure::new(
                Fault::Guest,
                format!(
                    "the build made no progress for {}, more than the {} it may, after {took} in all",
                    spell(idle_ms),
                    spell(terms.no_progress_ms.unwrap_or_default())
                ),
            )
            .hint("look at the guest's screen; give it more with no_progress_timeout in the *.kiln.hcl file"),
        }
    }
}

/// `4 h`, `1 h 30 min`, `45 s`.
pub(crate) fn spell(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    match (hours, minutes, seconds) {
        (0, 0, _) => format!("{seconds} s"),
        (0, _, 0) => format!("{minutes} min"),
        (0, ..) => format!("{minutes} min {seconds} s"),
        (_, 0, _) => format!("{hours} h"),
        (..) => format!("{hours} h {minutes} min"),
    }
}
