//! An agent says what it holds, when there is news in it ([`is_news`]). A lease that expired is taken up again as
//! long as nobody else was given the task, so that an install of ninety minutes survives a short silence.

use kiln_plan::id::{AgentId, TaskId};

use super::Applied;
use crate::agent::AgentPhase;
use crate::command::{Held, HeldPhase};
use crate::lease::Lease;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::{Standing, Task, TaskPhase};

/// Whether what an agent says would change anything, so that the ledger must hear of it. Whatever only says that all
/// is as it was, or claims what was lost, would not.
pub fn is_news(state: &FarmState, id: AgentId, draining: bool, held: &[Held]) -> bool {
    let Some(agent) = state.agents.get(&id) else { return true };
    let as_it_was = match agent.phase {
        AgentPhase::Ready | AgentPhase::Draining => agent.leaving == draining,
        AgentPhase::Lost { .. } | AgentPhase::Gone { .. } => false,
    };
    let changes = |claim: &Held| {
        let Some(task) = state.tasks.get(&claim.task) else { return false };
        match task.standing(id, claim.attempt, claim.epoch) {
            Standing::Held => begins(task, claim),
            Standing::Expired => may_take_up(state, id, claim.task),
            Standing::Stale => false,
        }
    };
    !as_it_was || held.iter().any(changes)
}

fn begins(task: &Task, claim: &Held) -> bool {
    claim.phase == HeldPhase::Running && matches!(task.phase, TaskPhase::Leased(_))
}

pub(super) fn synchronize(state: &mut FarmState, id: AgentId, draining: bool, held: &[Held]) -> Applied {
    let now = state.now;
    let agent = state.agents.get(&id).ok_or(Refusal::UnknownAgent(id))?;
    if matches!(agent.phase, AgentPhase::Gone { .. }) {
        return Err(Refusal::AgentNotReady(id));
    }
    state.alter_agent(id, |agent| {
        agent.last_heard = now;
        agent.leaving = draining;
        agent.phase = agent.heard_phase();
    });
    let mut stale = Vec::new();
    for claim in held {
        if !renew(state, id, claim) {
            stale.push(claim.task);
        }
    }
    Ok(Outcome::Synchronized { stale })
}

/// Notes that an attempt began, or takes it up again; `false` when the claim is worth nothing any more.
fn renew(state: &mut FarmState, agent: AgentId, claim: &Held) -> bool {
    let Some(task) = state.tasks.get(&claim.task) else { return false };
    match task.standing(agent, claim.attempt, claim.epoch) {
        Standing::Stale => false,
        Standing::Held => {
            if begins(task, claim)
                && let Some(lease) = task.lease().cloned()
            {
                state.move_task(claim.task, TaskPhase::Running(lease));
            }
            true
        }
        Standing::Expired if !may_take_up(state, agent, claim.task) => false,
        Standing::Expired => {
            let granted = task.attempts.last().map_or(state.now, |ended| ended.granted);
            let lease = Lease::granted(claim.attempt, agent, claim.epoch, granted);
            state.alter_task(claim.task, |task| {
                task.attempts.pop();
                task.phase = match claim.phase {
                    HeldPhase::Running => TaskPhase::Running(lease),
                    HeldPhase::Accepted => TaskPhase::Leased(lease),
                };
            });
            true
        }
    }
}

/// Meanwhile the agent may have been given other tasks, or the build may have others under way.
fn may_take_up(state: &FarmState, agent: AgentId, task: TaskId) -> bool {
    let room = state.agents.get(&agent).is_some_and(|agent| agent.free_slots() > 0);
    let build = state.tasks.get(&task).and_then(|task| state.builds.get(&task.build));
    room && build.is_some_and(crate::build::Build::has_room)
}
