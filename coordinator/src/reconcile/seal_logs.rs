//! The log of a finished task gets its last event, and ends. Only the ledger knows which end is the last:
//! an attempt that failed may be made again.

use kiln_plan::event::EventKind;

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let open = coordinator.events.unsealed();
    let finished: Vec<_> = coordinator.ledger.read(|farm| {
        let outcome = |task| Some((task, farm.tasks().get(&task)?.outcome()?.clone()));
        open.into_iter().filter_map(outcome).collect()
    });
    let now = coordinator.clock.now().0;
    let sealed = finished.len();
    for (task, outcome) in finished {
        coordinator.events.seal(task, now, &EventKind::Finished { outcome });
        coordinator.answers.forget(task);
    }
    Ok(sealed)
}
