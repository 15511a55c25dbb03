//! Drained agents become empty: whoever an operator wants empty is given nothing new, and in the end has nothing.

use std::collections::BTreeSet;

use kiln_model::{Action, FarmState, Outcome};
use kiln_plan::id::AgentId;

use super::Step;

/// Who shall be empty.
#[derive(Debug, Default)]
pub struct Law {
    drained: BTreeSet<AgentId>,
}

impl Law {
    pub(super) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        match (step.action, step.outcome) {
            (Action::DrainAgent { agent }, Outcome::Done) => drop(self.drained.insert(*agent)),
            (Action::UndrainAgent { agent }, Outcome::Done) => drop(self.drained.remove(agent)),
            (Action::Assign { agent, task, .. }, Outcome::Assigned { .. })
                if self.drained.contains(agent) =>
            {
                return Err(format!("task {task} was given to {agent}, which is drained"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Once everything has ended.
    ///
    /// # Errors
    /// Who is not empty.
    pub fn check_end(&self, state: &FarmState) -> Result<(), String> {
        let holding = self.drained.iter().filter_map(|agent| state.agents().get(agent));
        let full = holding.filter(|agent| !agent.holds.is_empty()).map(|agent| &agent.name).next();
        full.map_or(Ok(()), |name| Err(format!("drained agents become empty: {name} is not")))
    }
}
