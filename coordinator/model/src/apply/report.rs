//! An agent says how its attempt ended: the task is finished, or queued for another attempt.

use kiln_plan::Failure;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};

use super::Applied;
use crate::lease::Lease;
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
    said: Option<u64>,
) -> Applied {
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    let (expired, granted) = match task.standing(agent, attempt, epoch) {
        Standing::Held => (false, task.lease().map(|lease| lease.granted)),
        Standing::Expired => (true, task.attempts.last().map(|ended| ended.granted)),
        Standing::Stale => {
            return Err(Refusal::StaleEpoch { task: id, given: epoch, current: task.epoch });
        }
    };
    if expired {
        // It did not end that way after all.
        state.alter_task(id, |task| drop(task.attempts.pop()));
    }
    if let Some(next) = said {
        state.alter_task(id, |task| task.said.push((epoch, next)));
    }
    let now = state.now;
    let granted = granted.unwrap_or(now);
    let Some(failure) = retried(state, id, agent, outcome) else {
        let outcome = final_outcome(state, id, outcome);
        state.alter_task(id, |task| {
            task.finished_by = Some(Lease::granted(attempt, agent, epoch, granted));
            task.phase = TaskPhase::Finished { at: now, outcome };
        });
        return Ok(Outcome::Reported { verdict: Verdict::Final });
    };
    let how = AttemptEnd::Failed(failure);
    state.alter_task(id, |task| {
        task.attempts.push(EndedAttempt { attempt, agent, epoch, granted, ended: now, how });
        task.phase = TaskPhase::Queued { since: now };
    });
    Ok(Outcome::Reported { verdict: Verdict::Retry })
}

/// An attempt that was ended because it took too long fails by that; one that succeeded before it heard of it
/// succeeded.
fn final_outcome(state: &FarmState, id: TaskId, outcome: &TaskOutcome) -> TaskOutcome {
    let overrun = state.tasks.get(&id).and_then(|task| task.overrun.clone());
    let ended_early = match outcome {
        TaskOutcome::Cancelled => true,
        TaskOutcome::Failed { failure } => failure.cancelled,
        TaskOutcome::Succeeded { .. } => false,
    };
    match overrun {
        Some(failure) if ended_early => TaskOutcome::Failed { failure },
        _ => outcome.clone(),
    }
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
