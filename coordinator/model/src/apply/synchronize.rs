//! An agent says what it holds. Leases that are its own are renewed; one that expired is taken up again as
//! long as nobody else was given the task, so that an install of ninety minutes survives a short silence.

use kiln_plan::id::{AgentId, TaskId};

use super::Applied;
use crate::agent::AgentPhase;
use crate::command::{Held, HeldPhase};
use crate::lease::Lease;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::{Standing, TaskPhase};

pub(super) fn synchronize(state: &mut FarmState, id: AgentId, draining: bool, held: &[Held]) -> Applied {
    let now = state.now;
    let agent = state.agents.get_mut(&id).ok_or(Refusal::UnknownAgent(id))?;
    if matches!(agent.phase, AgentPhase::Gone { .. }) {
        return Err(Refusal::AgentNotReady(id));
    }
    agent.last_heard = now;
    agent.phase = if draining { AgentPhase::Draining } else { AgentPhase::Ready };
    let mut stale = Vec::new();
    for claim in held {
        if !renew(state, id, claim) {
            stale.push(claim.task);
        }
    }
    Ok(Outcome::Synchronized { stale })
}

/// Renews or takes up again; `false` when the claim is worth nothing any more.
fn renew(state: &mut FarmState, agent: AgentId, claim: &Held) -> bool {
    let Some(task) = state.tasks.get(&claim.task) else { return false };
    let lease = match task.standing(agent, claim.attempt, claim.epoch) {
        Standing::Stale => return false,
        Standing::Expired if !may_take_up(state, agent, claim.task) => return false,
        Standing::Expired => Lease::granted(claim.attempt, agent, claim.epoch, state.now),
        Standing::Held => match task.lease() {
            Some(lease) => lease.clone().renewed(state.now),
            None => return false,
        },
    };
    let began = claim.phase == HeldPhase::Running || matches!(task.phase, TaskPhase::Running(_));
    let taken_up = task.lease().is_none();
    state.move_task(claim.task, if began { TaskPhase::Running(lease) } else { TaskPhase::Leased(lease) });
    if taken_up && let Some(task) = state.tasks.get_mut(&claim.task) {
        task.attempts.pop();
    }
    true
}

/// Meanwhile the agent may have been given other tasks, or the build may have others under way.
fn may_take_up(state: &FarmState, agent: AgentId, task: TaskId) -> bool {
    let room = state.agents.get(&agent).is_some_and(|agent| agent.free_slots() > 0);
    let build = state.tasks.get(&task).and_then(|task| state.builds.get(&task.build));
    room && build.is_some_and(crate::build::Build::has_room)
}
