//! The log of a finished task gets its last event, and ends. Only the ledger knows which end is the last:
//! an attempt that failed may be made again.

use std::sync::PoisonError;
use std::time::Duration;

use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::id::TaskId;
use tokio::time::Instant;

use crate::Coordinator;
use crate::ledger::ProposeError;

/// How often all logs are looked at, and not only those of tasks that finished since the last time: some may have been
/// opened again.
const LOOK_AT_ALL: Duration = Duration::from_secs(5);

/// How far this duty has come.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    endings: u64,
    looked_at_all: Option<Instant>,
}

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let finished = finished(coordinator);
    let now = coordinator.clock.now().0;
    let sealed = finished.len();
    for (task, outcome) in finished {
        coordinator.events.seal(task, now, &EventKind::Finished { outcome });
        coordinator.answers.forget(task);
    }
    Ok(sealed)
}

/// The finished tasks whose logs may not have ended.
fn finished(coordinator: &Coordinator) -> Vec<(TaskId, TaskOutcome)> {
    let mut sealed = coordinator.memory.sealed.lock().unwrap_or_else(PoisonError::into_inner);
    let look_at_all = sealed.looked_at_all.is_none_or(|looked| looked.elapsed() >= LOOK_AT_ALL);
    if look_at_all {
        sealed.looked_at_all = Some(Instant::now());
        // What finishes after this is found the next time.
        sealed.endings = coordinator.ledger.read(|farm| farm.counts().endings);
        let open = coordinator.events.unsealed();
        return coordinator.ledger.read(|farm| {
            let outcome = |task| Some((task, farm.tasks().get(&task)?.outcome()?.clone()));
            open.into_iter().filter_map(outcome).collect()
        });
    }
    coordinator.ledger.read(|farm| {
        let since = std::mem::replace(&mut sealed.endings, farm.counts().endings);
        let finished = farm.finished_after(since);
        finished.filter_map(|task| Some((task.id, task.outcome()?.clone()))).collect()
    })
}
