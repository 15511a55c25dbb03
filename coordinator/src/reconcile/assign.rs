//! Waiting tasks go to agents with room.

use kiln_model::{Action, Assignment, schedule};
use kiln_plan::id::AttemptId;
use uuid::Uuid;

use crate::Coordinator;
use crate::ledger::ProposeError;

/// The most assignments of one round: a few entries' worth.
const ROUND: usize = 512;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let due = coordinator.ledger.read(|farm| schedule::assignments(farm, ROUND));
    let assign = |Assignment { task, agent }| {
        let attempt = AttemptId::new(Uuid::now_v7());
        Action::Assign { task, agent, attempt }
    };
    super::propose(coordinator, due.into_iter().map(assign).collect()).await
}
