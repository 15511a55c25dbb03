//! Tasks that no agent could take even if it were idle fail after a while, with the reason.

use kiln_model::{Action, due};

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let patience = coordinator.settings.placement_patience;
    if coordinator.vigil.look() < patience {
        return Ok(0);
    }
    let now = coordinator.clock.now();
    let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let due = coordinator.ledger.read(|farm| due::hopeless_tasks(farm, now, patience_ms));
    super::propose(coordinator, due.into_iter().map(|task| Action::GiveUp { task }).collect()).await
}
