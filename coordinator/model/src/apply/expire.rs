//! Patience ends: a lease without renewal is taken back, an attempt that takes too long is ended, a task that nobody
//! can take is failed.

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{Epoch, TaskId};
use kiln_plan::{Failure, Fault};

use super::Applied;
use crate::due;
use crate::lease::LEASE_MS;
use crate::outcome::{Outcome, Refusal};
use crate::overrun::Overrun;
use crate::retry::{self, Verdict};
use crate::state::FarmState;
use crate::task::{AttemptEnd, EndedAttempt, TaskPhase};

pub(super) fn expire_lease(state: &mut FarmState, id: TaskId, epoch: Epoch, silent_ms: u64) -> Applied {
    let now = state.now;
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    let Some(lease) = task.lease().filter(|lease| lease.epoch == epoch) else {
        return Err(Refusal::StaleEpoch { task: id, given: epoch, current: task.epoch });
    };
    if silent_ms < LEASE_MS {
        return Err(Refusal::LeaseStillGood(id));
    }
    let failure = lost(state, lease.agent, task.attempts.len() + 1);
    let next = match retry::verdict(state, task, lease.agent, &failure) {
        Verdict::Retry => TaskPhase::Queued { since: now },
        Verdict::Final if let Some(failure) = task.overrun.clone() => {
            TaskPhase::Finished { at: now, outcome: TaskOutcome::Failed { failure } }
        }
        Verdict::Final if task.cancelling => TaskPhase::Finished { at: now, outcome: TaskOutcome::Cancelled },
        Verdict::Final => TaskPhase::Finished { at: now, outcome: TaskOutcome::Failed { failure } },
    };
    let how = AttemptEnd::LeaseExpired;
    let (attempt, agent, granted) = (lease.attempt, lease.agent, lease.granted);
    let ended = EndedAttempt { attempt, agent, epoch, granted, ended: now, how };
    state.alter_task(id, |task| {
        task.attempts.push(ended);
        task.phase = next;
    });
    Ok(Outcome::Done)
}

pub(super) fn overrun(state: &mut FarmState, id: TaskId, epoch: Epoch, limit: Overrun) -> Applied {
    let now = state.now;
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    let Some(lease) = task.lease().filter(|lease| lease.epoch == epoch) else {
        return Err(Refusal::StaleEpoch { task: id, given: epoch, current: task.epoch });
    };
    if task.cancelling || !limit.holds(&task.terms, lease, now) {
        return Err(Refusal::NothingOverrun(id));
    }
    let failure = limit.failure(&task.terms, lease, now);
    state.alter_task(id, |task| {
        task.cancelling = true;
        task.overrun = Some(failure);
    });
    Ok(Outcome::Done)
}

fn lost(state: &FarmState, agent: kiln_plan::id::AgentId, attempts: usize) -> Failure {
    let name = state.agents().get(&agent).map_or("an agent", |agent| agent.name.as_str());
    let seconds = LEASE_MS / 1000;
    Failure::new(
        Fault::Farm,
        format!("nothing was heard of agent {name} for {seconds} s, in attempt {attempts} of the task"),
    )
    .hint("look at the agents of the farm: one that dies under a task is often short of memory")
}

pub(super) fn give_up(state: &mut FarmState, id: TaskId) -> Applied {
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    if !matches!(task.phase, TaskPhase::Queued { .. }) {
        return Err(Refusal::NotQueued(id));
    }
    if due::is_placeable(state, task) {
        return Err(Refusal::Placeable(id));
    }
    let outcome = TaskOutcome::Failed { failure: unplaceable(state, task) };
    let at = state.now;
    state.move_task(id, TaskPhase::Finished { at, outcome });
    Ok(Outcome::Done)
}

/// Says what is missing: a component that nobody has, or else that no single agent has all of it.
fn unplaceable(state: &FarmState, task: &crate::task::Task) -> Failure {
    let offers = || state.agents.values().filter(|agent| agent.is_ready()).map(|agent| &agent.offer);
    if offers().next().is_none() {
        return Failure::new(Fault::Farm, "no agent of the farm is ready")
            .hint("start one with `kiln agent`");
    }
    let missing =
        task.requirements.components.iter().find(|name| !offers().any(|o| o.components.contains(*name)));
    let message = match missing {
        Some(component) => format!("no agent of the farm offers {component}"),
        None => "no agent of the farm offers all that the task needs".to_owned(),
    };
    Failure::new(Fault::Farm, message)
        .hint("install the component on an agent, or add an agent with the labels and room it asks for")
}
