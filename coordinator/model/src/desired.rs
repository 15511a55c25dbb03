//! What an agent should hold: the answer to what it says it holds.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};

use crate::state::FarmState;

/// An attempt that an agent should be working on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its fencing number.
    pub epoch: Epoch,
    /// The digest of the task's plan.
    pub plan: Fingerprint,
    /// Whether it should stop, undo and report.
    pub cancel: bool,
}

/// Everything that `agent` should hold, by task; nothing for an agent that isn't known.
pub fn desired(state: &FarmState, agent: AgentId) -> Vec<Holding> {
    let holds = state.agents.get(&agent).into_iter().flat_map(|agent| &agent.holds);
    holds
        .filter_map(|id| {
            let task = state.tasks.get(id)?;
            let lease = task.lease()?;
            Some(Holding {
                task: *id,
                attempt: lease.attempt,
                epoch: lease.epoch,
                plan: task.plan,
                cancel: task.cancelling,
            })
        })
        .collect()
}
