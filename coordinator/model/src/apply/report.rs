//! An agent says how its attempt ended: the task is finished, or queued for another attempt.

use kiln_plan::Failure;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};

use super::Applied;
use crate::outcome::{Outcome, Refusal};
use crate::retry::{self, Verdict};
use crate::state::FarmState;
use crate::task::{AttemptEnd, EndedAttempt, Standing, TaskPhase};

/// Takes the report of the holder, also of one whose lease expired while nobody else was given the task.
pub(super) fn report(
    state: &mut FarmState,
    id: TaskId,
    (agent, attempt, epoch): (AgentId, AttemptId, Epoch),
    outcome: &TaskOutcome,
) -> Applied {
    let task = state.tasks.get_mut(&id).ok_or(Refusal::UnknownTask(id))?;
    match task.standing(agent, attempt, epoch) {
        Standing::Held => {}
        Standing::Expired => drop(task.attempts.pop()),
        Standing::Stale => {
            return Err(Refusal::StaleEpoch { task: id, given: epoch, current: task.epoch });
        }
    }
    let now = state.now;
    let Some(failure) = retried(state, id, agent, outcome) else {
        state.move_task(id, TaskPhase::Finished { at: now, outcome: outcome.clone() });
        return Ok(Outcome::Reported { verdict: Verdict::Final });
    };
    if let Some(task) = state.tasks.get_mut(&id) {
        let how = AttemptEnd::Failed(failure);
        task.attempts.push(EndedAttempt { attempt, agent, epoch, ended: now, how });
    }
    state.move_task(id, TaskPhase::Queued { since: now });
    Ok(Outcome::Reported { verdict: Verdict::Retry })
}

/// The failure after which another attempt is made; `None` when the outcome stands.
fn retried(state: &FarmState, id: TaskId, agent: AgentId, outcome: &TaskOutcome) -> Option<Failure> {
    let task = state.tasks.get(&id)?;
    match outcome {
        TaskOutcome::Failed { failure } => {
            let again = retry::verdict(state, task, agent, failure) == Verdict::Retry;
            again.then(|| failure.clone())
        }
        TaskOutcome::Succeeded { .. } | TaskOutcome::Cancelled => None,
    }
}
