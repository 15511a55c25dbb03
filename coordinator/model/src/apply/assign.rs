//! A waiting task is given to an agent, under a new fencing number.

use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};

use super::Applied;
use crate::lease::Lease;
use crate::outcome::{Outcome, Refusal};
use crate::schedule::fit;
use crate::state::FarmState;
use crate::task::TaskPhase;

pub(super) fn assign(state: &mut FarmState, id: TaskId, agent: AgentId, attempt: AttemptId) -> Applied {
    let task = state.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
    if !matches!(task.phase, TaskPhase::Queued { .. }) {
        return Err(Refusal::NotQueued(id));
    }
    let taker = state.agents.get(&agent).ok_or(Refusal::UnknownAgent(agent))?;
    if !taker.is_ready() {
        return Err(Refusal::AgentNotReady(agent));
    }
    if !fit::fits(&task.class(), taker, &taker.free()) {
        return Err(Refusal::DoesNotFit { task: id, agent });
    }
    let build = state.builds.get(&task.build).ok_or(Refusal::UnknownBuild(task.build))?;
    if !build.has_room() {
        return Err(Refusal::LimitReached(build.id));
    }
    let epoch = Epoch(task.epoch.0 + 1);
    let lease = Lease::granted(attempt, agent, epoch, state.now);
    state.alter_task(id, |task| {
        task.epoch = epoch;
        task.holder = Some(agent);
        task.phase = TaskPhase::Leased(lease);
    });
    Ok(Outcome::Assigned { epoch })
}
