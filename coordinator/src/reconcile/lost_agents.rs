//! Agents that are silent count as lost, and those lost for long as gone.

use std::time::Duration;

use kiln_model::agent::SILENCE_MS;
use kiln_model::{Action, due};

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    if coordinator.vigil.look() < Duration::from_millis(SILENCE_MS) {
        return Ok(0);
    }
    let now = coordinator.clock.now();
    let actions = coordinator.ledger.read(|farm| {
        let silent = due::silent_agents(farm, now).into_iter().map(|agent| Action::LoseAgent { agent });
        let departed = due::departed_agents(farm, now).into_iter().map(|agent| Action::Depart { agent });
        silent.chain(departed).collect()
    });
    super::propose(coordinator, actions).await
}
