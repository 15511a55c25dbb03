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
        let Some(task) = state.tasks.get_mut(&id) else { continue };
        task.cancelling |= !task.is_finished();
        if matches!(task.phase, TaskPhase::Queued { .. }) {
            let at = state.now;
            state.move_task(id, TaskPhase::Finished { at, outcome: TaskOutcome::Cancelled });
        }
    }
    Ok(Outcome::Done)
}
