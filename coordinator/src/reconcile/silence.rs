//! Leases whose holders are silent are taken back, attempts that take too long are ended, agents that are silent
//! count as lost. After the coordinator was away or replaced, everybody first gets a full term to be heard of.

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let at = coordinator.clock.now();
    let due = coordinator
        .pulse
        .with(|liveness, now| coordinator.ledger.read(|farm| liveness.due(farm, now, at.max(farm.now()))));
    super::propose(coordinator, due).await
}
