//! A build shall end: what waits is finished at once, what is held is marked, and its agents are told.

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::BuildId;

use super::Applied;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::TaskPhase;

pub(super) fn cancel(state: &mut FarmState, id: BuildId) -> Applied {
    let build = state.builds.get(&id).ok_or(Refusal::UnknownBuild(id))?;
    if build.is_ended() {
        return Err(Refusal::BuildEnded(id));
    }
    for id in build.tasks.clone() {
        let at = state.now;
        state.alter_task(id, |task| {
            task.cancelling = true;
            if matches!(task.phase, TaskPhase::Queued { .. }) {
                task.phase = TaskPhase::Finished { at, outcome: TaskOutcome::Cancelled };
            }
        });
    }
    Ok(Outcome::Done)
}
