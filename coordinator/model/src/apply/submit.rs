//! A build enters the farm with all its tasks, which wait from then on.

use std::num::NonZeroU32;

use kiln_plan::id::{BuildId, Epoch};

use super::Applied;
use crate::build::{Build, BuildPhase};
use crate::command::NewTask;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::{Task, TaskPhase};

pub(super) fn submit(
    state: &mut FarmState,
    id: BuildId,
    parallel: Option<NonZeroU32>,
    tasks: &[NewTask],
) -> Applied {
    if state.builds.contains_key(&id) {
        return Err(Refusal::DuplicateBuild(id));
    }
    if tasks.is_empty() {
        return Err(Refusal::EmptyBuild(id));
    }
    let mut ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
    ids.sort();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    if let Some(known) = twice.or_else(|| ids.into_iter().find(|id| state.tasks.contains_key(id))) {
        return Err(Refusal::DuplicateTask(known));
    }
    let order = state.submissions;
    state.submissions += 1;
    let build = Build {
        id,
        order,
        submitted: state.now,
        parallel,
        tasks: tasks.iter().map(|task| task.id).collect(),
        active: 0,
        unfinished: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        phase: BuildPhase::Running,
    };
    state.builds.insert(id, build);
    for (index, new) in (0..).zip(tasks) {
        state.queue.insert((order, index, new.id));
        state.tasks.insert(new.id, waiting(new, id, index, state));
    }
    Ok(Outcome::Done)
}

fn waiting(new: &NewTask, build: BuildId, index: u32, state: &FarmState) -> Task {
    Task {
        id: new.id,
        build,
        index,
        name: new.name.clone(),
        plan: new.plan,
        requirements: new.requirements.clone(),
        phase: TaskPhase::Queued { since: state.now },
        epoch: Epoch(0),
        holder: None,
        attempts: Vec::new(),
        cancelling: false,
    }
}
