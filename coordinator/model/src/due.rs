//! What the present state demands at a given time. Reconcilers on the leader ask these questions and propose
//! the commands; asking twice does no harm, since a command that is no longer due is refused.

use kiln_plan::id::{AgentId, BuildId, Epoch, TaskId};

use crate::agent::{AgentPhase, LOST_MS, SILENCE_MS};
use crate::build::BuildPhase;
use crate::state::FarmState;
use crate::task::{Task, TaskPhase};
use crate::time::Timestamp;

/// Leases whose deadline has passed.
pub fn expired_leases(state: &FarmState, now: Timestamp) -> Vec<(TaskId, Epoch)> {
    let held = state.agents.values().flat_map(|agent| &agent.holds).filter_map(|id| state.tasks.get(id));
    held.filter_map(|task| {
        let lease = task.lease()?;
        lease.is_expired(now).then_some((task.id, lease.epoch))
    })
    .collect()
}

/// Agents that should be marked as lost.
pub fn silent_agents(state: &FarmState, now: Timestamp) -> Vec<AgentId> {
    let there = state.agents.values().filter(|a| matches!(a.phase, AgentPhase::Ready | AgentPhase::Draining));
    there.filter(|a| now.ms_since(a.last_heard) >= SILENCE_MS).map(|a| a.id).collect()
}

/// Lost agents that are not expected back any more.
pub fn departed_agents(state: &FarmState, now: Timestamp) -> Vec<AgentId> {
    let lost = |phase| matches!(phase, AgentPhase::Lost { since } if now.ms_since(since) >= LOST_MS);
    state.agents.values().filter(|a| lost(a.phase) && a.holds.is_empty()).map(|a| a.id).collect()
}

/// Agents that have been gone for `keep_ms` milliseconds.
pub fn forgettable_agents(state: &FarmState, now: Timestamp, keep_ms: u64) -> Vec<AgentId> {
    let old = |phase| matches!(phase, AgentPhase::Gone { since } if now.ms_since(since) >= keep_ms);
    state.agents.values().filter(|a| old(a.phase)).map(|a| a.id).collect()
}

/// Builds that ended `keep_ms` milliseconds ago or earlier.
pub fn forgettable_builds(state: &FarmState, now: Timestamp, keep_ms: u64) -> Vec<BuildId> {
    let old = |phase| matches!(phase, BuildPhase::Ended { at, .. } if now.ms_since(at) >= keep_ms);
    state.builds.values().filter(|b| old(b.phase)).map(|b| b.id).collect()
}

/// Tasks that have waited for `patience_ms` milliseconds while no agent that is there could take them even
/// if it were idle.
pub fn hopeless_tasks(state: &FarmState, now: Timestamp, patience_ms: u64) -> Vec<TaskId> {
    let waited = |task: &&Task| matches!(task.phase, TaskPhase::Queued { since } if now.ms_since(since) >= patience_ms);
    state.queued().filter(waited).filter(|task| !is_placeable(state, task)).map(|task| task.id).collect()
}

/// Whether some agent that is there could take the task if it were idle.
pub fn is_placeable(state: &FarmState, task: &Task) -> bool {
    state
        .agents
        .values()
        .any(|a| a.is_ready() && !task.failed_on(a.id) && a.offer.could_meet(&task.requirements))
}
