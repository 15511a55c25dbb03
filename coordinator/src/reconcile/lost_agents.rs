//! Agents that have been lost for long count as gone.

use kiln_model::{Action, due};

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let now = coordinator.clock.now();
    let departed = coordinator.ledger.read(|farm| due::departed_agents(farm, now));
    super::propose(coordinator, departed.into_iter().map(|agent| Action::Depart { agent }).collect()).await
}
