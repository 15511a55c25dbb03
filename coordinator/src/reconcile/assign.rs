//! Waiting tasks go to agents with room, as far as the object store gives out their plans ([`crate::postponed`]).

use std::sync::PoisonError;

use kiln_model::{Action, Assignment, FarmState, Scheduler, TaskPhase, Timestamp};
use kiln_plan::id::{AttemptId, TaskId};
use uuid::Uuid;

use crate::Coordinator;
use crate::ledger::ProposeError;
use crate::postponed::Allowed;

/// The most assignments of one round: a few entries' worth.
const ROUND: usize = 512;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let now = coordinator.clock.now();
    let unfinished = |farm: &FarmState, id| farm.tasks().get(&id).is_some_and(|task| !task.is_finished());
    let due = with_scheduler(coordinator, |scheduler| {
        coordinator.ledger.read(|farm| {
            let Allowed { held_back, most } = coordinator.postponed.allowed(ROUND, |id| unfinished(farm, id));
            scheduler.hold_back(held_back);
            scheduler.assignments(farm, now.max(farm.now()), most)
        })
    });
    if !due.is_empty() {
        coordinator.postponed.tried();
    }
    let assign = |Assignment { task, agent }| {
        let attempt = AttemptId::new(Uuid::now_v7());
        Action::Assign { task, agent, attempt }
    };
    let wanted = due.len();
    let waited: Vec<u64> =
        coordinator.ledger.read(|farm| due.iter().map(|due| waited(farm, due.task, now)).collect());
    let done = super::propose(coordinator, due.into_iter().map(assign).collect()).await;
    if !matches!(done, Ok(done) if done == wanted) {
        // It takes for used what was not given after all.
        with_scheduler(coordinator, |scheduler| *scheduler = Scheduler::default());
    }
    if done.is_ok() {
        waited.into_iter().for_each(|ms| coordinator.meters.assigned(ms as f64 / 1e3));
    }
    done
}

/// For how long a task has waited, in milliseconds.
fn waited(farm: &FarmState, task: TaskId, now: Timestamp) -> u64 {
    match farm.tasks().get(&task).map(|task| &task.phase) {
        Some(TaskPhase::Queued { since }) => now.ms_since(*since),
        _ => 0,
    }
}

fn with_scheduler<T>(coordinator: &Coordinator, work: impl FnOnce(&mut Scheduler) -> T) -> T {
    work(&mut coordinator.memory.scheduler.lock().unwrap_or_else(PoisonError::into_inner))
}
