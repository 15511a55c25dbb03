//! Events are put to rest in the object store bit by bit, so that agents may forget them.

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let confirm = || async { coordinator.ledger.read_linearizable(|_| ()).await.is_ok() };
    match coordinator.events.put_to_rest(confirm).await {
        Ok(done) => Ok(done),
        Err(error) => {
            coordinator.meters.store_failed();
            let error = kiln_plan::fault::chain(&error);
            tracing::warn!(error, "events could not be put to rest; agents keep them meanwhile");
            Ok(0)
        }
    }
}
