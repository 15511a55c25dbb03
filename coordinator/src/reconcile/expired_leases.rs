//! Leases that were not renewed in time are taken back. After the coordinator was away or replaced, every
//! holder first gets a full term to be heard of.

use std::time::Duration;

use kiln_model::lease::LEASE_MS;
use kiln_model::{Action, due};

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    if coordinator.vigil.look() < Duration::from_millis(LEASE_MS) {
        return Ok(0);
    }
    let now = coordinator.clock.now();
    let due = coordinator.ledger.read(|farm| due::expired_leases(farm, now));
    let expire = |(task, epoch)| Action::ExpireLease { task, epoch };
    super::propose(coordinator, due.into_iter().map(expire).collect()).await
}
