//! Never two live leases of one epoch: a fencing number belongs to one agent and one attempt for ever.

use std::collections::BTreeMap;

use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};

use super::Step;

/// To whom each number went.
#[derive(Debug, Default)]
pub struct Law {
    holders: BTreeMap<(TaskId, Epoch), (AgentId, AttemptId)>,
    seen: u64,
}

impl Law {
    pub(super) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let state = step.after;
        for agent in state.revised_after(self.seen).filter_map(|agent| state.agents().get(&agent)) {
            for task in agent.holds.iter().filter_map(|task| state.tasks().get(task)) {
                let Some(lease) = task.lease() else {
                    return Err(format!("{} holds {}, which has no lease", agent.name, task.id));
                };
                let holder = (lease.agent, lease.attempt);
                let known = *self.holders.entry((task.id, lease.epoch)).or_insert(holder);
                if known != holder || lease.agent != agent.id {
                    return Err(format!(
                        "epoch {} of task {} went to {known:?} and to {holder:?}",
                        lease.epoch, task.id
                    ));
                }
            }
        }
        self.seen = state.counts().revisions;
        Ok(())
    }
}
