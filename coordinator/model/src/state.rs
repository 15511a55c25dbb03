//! The whole state of the farm. It changes only through [`crate::apply`].
//!
//! Besides what is, it keeps what would be dear to search for: the queue in order, what each agent holds, how
//! many tasks of a build are active or unfinished. [`FarmState::move_task`] is the only place that changes a
//! task's phase and keeps these in step; [`crate::invariant`] holds it to that.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, BuildId, TaskId};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::build::{Build, BuildPhase, BuildResult};
use crate::identity::Identities;
use crate::image::Images;
use crate::task::{Task, TaskPhase};
use crate::time::Timestamp;

/// The place of a waiting task: builds in order of submission, tasks in order of the template.
pub type QueuePlace = (u64, u32, TaskId);

/// Everything the farm remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmState {
    pub(crate) now: Timestamp,
    pub(crate) submissions: u64,
    pub(crate) builds: BTreeMap<BuildId, Build>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) queue: BTreeSet<QueuePlace>,
    #[serde(default)]
    pub(crate) images: Images,
    #[serde(default)]
    pub(crate) identities: Identities,
}

impl FarmState {
    /// The time of the latest command.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// All builds.
    pub const fn builds(&self) -> &BTreeMap<BuildId, Build> {
        &self.builds
    }

    /// All tasks.
    pub const fn tasks(&self) -> &BTreeMap<TaskId, Task> {
        &self.tasks
    }

    /// All agents.
    pub const fn agents(&self) -> &BTreeMap<AgentId, Agent> {
        &self.agents
    }

    /// All images.
    pub const fn images(&self) -> &Images {
        &self.images
    }

    /// Who may take part.
    pub const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The waiting tasks, in order.
    pub fn queued(&self) -> impl Iterator<Item = &Task> {
        self.queue.iter().filter_map(|(_, _, id)| self.tasks.get(id))
    }

    /// Puts a task into another phase and keeps everything that follows from it in step. A finished task
    /// stays finished.
    pub(crate) fn move_task(&mut self, id: TaskId, next: TaskPhase) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.is_finished() {
            return;
        }
        let build = self.builds.get_mut(&task.build);
        let place = (build.as_ref().map_or(0, |build| build.order), task.index, id);
        let before = std::mem::replace(&mut task.phase, next);
        let holder_before = holder(&before);
        let holder_after = holder(&task.phase);
        if let Some(agent) = holder_before.and_then(|agent| self.agents.get_mut(&agent)) {
            agent.holds.remove(&id);
        }
        if let Some(agent) = holder_after.and_then(|agent| self.agents.get_mut(&agent)) {
            agent.holds.insert(id);
        }
        match &task.phase {
            TaskPhase::Queued { .. } => self.queue.insert(place),
            TaskPhase::Leased(_) | TaskPhase::Running(_) | TaskPhase::Finished { .. } => {
                self.queue.remove(&place)
            }
        };
        let finished = task.is_finished();
        if let Some(build) = build {
            build.active =
                build.active + u32::from(holder_after.is_some()) - u32::from(holder_before.is_some());
            build.unfinished -= u32::from(finished);
        }
        let build = task.build;
        self.settle(build);
    }

    /// Ends a build whose last task has finished.
    fn settle(&mut self, id: BuildId) {
        let Some(build) = self.builds.get_mut(&id) else { return };
        if build.unfinished > 0 || build.is_ended() {
            return;
        }
        let outcomes = build.tasks.iter().filter_map(|task| self.tasks.get(task)?.outcome());
        let result = outcomes.fold(BuildResult::Succeeded, |worst, outcome| match (worst, outcome) {
            (BuildResult::Failed, _) | (_, TaskOutcome::Failed { .. }) => BuildResult::Failed,
            (BuildResult::Cancelled, _) | (_, TaskOutcome::Cancelled) => BuildResult::Cancelled,
            (BuildResult::Succeeded, TaskOutcome::Succeeded { .. }) => BuildResult::Succeeded,
        });
        build.phase = BuildPhase::Ended { at: self.now, result };
    }
}

fn holder(phase: &TaskPhase) -> Option<AgentId> {
    match phase {
        TaskPhase::Leased(lease) | TaskPhase::Running(lease) => Some(lease.agent),
        TaskPhase::Queued { .. } | TaskPhase::Finished { .. } => None,
    }
}
