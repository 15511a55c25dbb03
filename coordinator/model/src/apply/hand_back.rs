//! A task is handed back that its agent never got: the farm could not read the plan. That is nobody's attempt, so it
//! isn't counted as one; whoever leads decides when it is tried again.

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{Epoch, TaskId};

use super::Applied;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::TaskPhase;

/// Takes back what was given and has not begun. What was to end meanwhile ends.
pub(super) fn hand_back(state: &mut FarmState, id: TaskId, epoch: Epoch) -> Applied {
    let at = state.now;
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    if task.lease().is_none_or(|lease| lease.epoch != epoch) {
        return Err(Refusal::StaleEpoch { task: id, given: epoch, current: task.epoch });
    }
    if matches!(task.phase, TaskPhase::Running(_)) {
        return Err(Refusal::HasBegun(id));
    }
    let next = match &task.overrun {
        Some(failure) => {
            TaskPhase::Finished { at, outcome: TaskOutcome::Failed { failure: failure.clone() } }
        }
        None if task.cancelling => TaskPhase::Finished { at, outcome: TaskOutcome::Cancelled },
        None => TaskPhase::Queued { since: at },
    };
    state.move_task(id, next);
    Ok(Outcome::Done)
}
