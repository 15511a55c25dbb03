//! What the present state demands at a given time. Reconcilers on the leader ask these questions and propose
//! the commands; asking twice does no harm, since a command that is no longer due is refused.

use std::collections::BTreeMap;

use kiln_plan::id::{AgentId, BuildId, TaskId};

use crate::agent::{AgentPhase, LOST_MS};
use crate::build::BuildPhase;
use crate::queue::Class;
use crate::schedule::fit;
use crate::state::FarmState;
use crate::task::{Task, TaskPhase};
use crate::time::Timestamp;

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
    let mut placeable: BTreeMap<&Class, bool> = BTreeMap::new();
    let mut hopeless = Vec::new();
    for (class, lane) in state.queue().lanes() {
        // Tasks of one class are alike, so most farms need to look for an agent only a few times.
        if *placeable.entry(class).or_insert_with(|| state.agents.values().any(|a| fit::could(class, a))) {
            continue;
        }
        let runs = lane.ready.values().chain(lane.parked.values());
        let tasks = runs.flat_map(|run| &run.tasks).filter_map(|(_, task)| state.tasks.get(task));
        hopeless.extend(tasks.filter(waited).map(|task| task.id));
    }
    hopeless
}

/// Whether some agent that is there could take the task if it were idle.
pub fn is_placeable(state: &FarmState, task: &Task) -> bool {
    let class = task.class();
    state.agents.values().any(|agent| fit::could(&class, agent))
}
