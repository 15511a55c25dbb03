//! Whether a failed attempt is made again, decided by whose fault it was.
//!
//! | fault | again? |
//! |---|---|
//! | Template, Guest | never: the same again would fail the same way |
//! | Machine | on another machine, if there is one that could |
//! | Farm (also a lost lease) | anywhere, preferably elsewhere |
//!
//! At most [`MAX_ATTEMPTS`] attempts, and none after a cancellation.

use kiln_plan::id::AgentId;
use kiln_plan::{Failure, Fault};
use serde::{Deserialize, Serialize};

use crate::state::FarmState;
use crate::task::Task;

/// The most attempts of one task: the first and two more.
pub const MAX_ATTEMPTS: usize = 3;

/// What follows from the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The task is queued for another attempt.
    Retry,
    /// The task is finished.
    Final,
}

/// What follows from a failed attempt on `agent` that is not among `task.attempts` yet.
pub fn verdict(state: &FarmState, task: &Task, agent: AgentId, failure: &Failure) -> Verdict {
    let exhausted = task.attempts.len() + 1 >= MAX_ATTEMPTS;
    if task.cancelling || failure.cancelled || exhausted {
        return Verdict::Final;
    }
    match failure.fault {
        Fault::Template | Fault::Guest => Verdict::Final,
        Fault::Farm => Verdict::Retry,
        Fault::Machine => {
            let elsewhere = state.agents().values().any(|other| {
                other.is_ready()
                    && other.id != agent
                    && !task.failed_on(other.id)
                    && other.offer.could_meet(&task.requirements)
            });
            if elsewhere { Verdict::Retry } else { Verdict::Final }
        }
    }
}
