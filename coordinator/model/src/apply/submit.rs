//! A build enters the farm with all its tasks, which wait from then on; or one that does the same is joined. A request
//! that was sent again, since its answer was lost, is answered with the build that it made.

use std::num::NonZeroU32;
use std::sync::Arc;

use kiln_plan::id::{BuildId, Epoch};

use super::Applied;
use crate::build::{Build, BuildPhase, Origin};
use crate::command::NewTask;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::{Task, TaskPhase};

pub(super) fn submit(
    state: &mut FarmState,
    (id, parallel): (BuildId, Option<NonZeroU32>),
    tasks: &[NewTask],
    (origin, join): (&Origin, bool),
) -> Applied {
    if let Some(build) = origin.request.and_then(|request| state.submitted_by(request)) {
        return Ok(Outcome::SubmittedBefore { build });
    }
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
    if join && let Some(build) = like(state, origin) {
        return Ok(Outcome::UnderWay { build });
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
        origin: origin.clone(),
    };
    let since = state.now;
    let mut tasks: Vec<Task> = (0..).zip(tasks).map(|(index, new)| waiting(new, id, index, since)).collect();
    share_needs(&mut tasks);
    state.add_build(build, tasks);
    Ok(Outcome::Done)
}

/// Before all others.
const NO_BUILD: BuildId = BuildId(uuid::Uuid::nil());

/// The build under way that would do the same, unless it is being cancelled.
fn like(state: &FarmState, origin: &Origin) -> Option<BuildId> {
    let fingerprint = origin.fingerprint?;
    let first = (origin.project.clone(), fingerprint, 0, NO_BUILD);
    let flights = state.index.in_flight.range(first..);
    let alike = flights.take_while(|(project, like, ..)| (project, like) == (&origin.project, &fingerprint));
    let cancelling = |task| state.tasks.get(task).is_some_and(|task| task.cancelling);
    let builds = alike.filter_map(|(.., build)| state.builds.get(build));
    builds.filter(|build| !build.tasks.iter().any(cancelling)).map(|build| build.id).next()
}

pub(super) fn weigh(state: &mut FarmState, project: &str, weight: NonZeroU32) -> Applied {
    if weight == NonZeroU32::MIN {
        state.weights.remove(project);
    } else {
        state.weights.insert(project.to_owned(), weight);
    }
    Ok(Outcome::Done)
}

fn waiting(new: &NewTask, build: BuildId, index: u32, since: crate::Timestamp) -> Task {
    let (requirements, terms) = new.requirements.clone().split();
    Task {
        id: new.id,
        build,
        index,
        name: new.name.clone(),
        plan: new.plan,
        requirements: Arc::new(requirements),
        terms,
        phase: TaskPhase::Queued { since },
        epoch: Epoch(0),
        holder: None,
        finished_by: None,
        attempts: Vec::new(),
        said: Vec::new(),
        cancelling: false,
        overrun: None,
        ending: None,
    }
}

/// Neighbours with equal needs share them.
fn share_needs(tasks: &mut [Task]) {
    for n in 1..tasks.len() {
        if tasks[n].requirements == tasks[n - 1].requirements {
            tasks[n].requirements = Arc::clone(&tasks[n - 1].requirements);
        }
    }
}
