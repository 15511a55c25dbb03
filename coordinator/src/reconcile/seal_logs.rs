//! The logs of finished tasks get their end. Only the ledger knows which end is the last: an attempt that failed may be made
//! again. And every build that the ledger knows has logs.

use std::sync::PoisonError;
use std::time::Duration;

use kiln_plan::id::TaskId;
use tokio::time::Instant;

use crate::Coordinator;
use crate::events::Story;
use crate::ledger::ProposeError;
use crate::terms;

/// How often all logs are looked at, and not only those of tasks that finished since the last time: some may have been
/// opened again, or have waited long enough for what an agent still had to tell.
const LOOK_AT_ALL: Duration = Duration::from_secs(5);

/// How far this duty has come.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    endings: u64,
    looked_at_all: Option<Instant>,
}

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let (finished, looked_at_all) = finished(coordinator);
    if looked_at_all {
        terms::open_missing_logs(coordinator).await;
    }
    let sealed = finished.len();
    for (task, story) in finished {
        coordinator.events.hear(task, story);
        coordinator.answers.forget(task);
    }
    Ok(sealed)
}

/// The finished tasks whose logs may not have ended, and whether all were looked at for that.
fn finished(coordinator: &Coordinator) -> (Vec<(TaskId, Story)>, bool) {
    let mut sealed = coordinator.memory.sealed.lock().unwrap_or_else(PoisonError::into_inner);
    let look_at_all = sealed.looked_at_all.is_none_or(|looked| looked.elapsed() >= LOOK_AT_ALL);
    if look_at_all {
        sealed.looked_at_all = Some(Instant::now());
        coordinator.events.settle();
        // What finishes after this is found the next time.
        sealed.endings = coordinator.ledger.read(|farm| farm.counts().endings);
        let open = coordinator.events.open_ended();
        let finished = coordinator.ledger.read(|farm| {
            let tasks = open.into_iter().filter_map(|task| farm.tasks().get(&task));
            tasks.filter(|task| task.is_finished()).map(|task| (task.id, Story::of(farm, task))).collect()
        });
        return (finished, true);
    }
    let finished = coordinator.ledger.read(|farm| {
        let since = std::mem::replace(&mut sealed.endings, farm.counts().endings);
        farm.finished_after(since).map(|task| (task.id, Story::of(farm, task))).collect()
    });
    (finished, false)
}
