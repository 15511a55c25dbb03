//! The whole state of the farm. It changes only through [`crate::apply`].
//!
//! Besides what is, it keeps what would be dear to search for ([`index::Index`]): the queue by need and rank,
//! the agents with room, who has news for whom. [`FarmState::alter_task`] and [`FarmState::alter_agent`] are the
//! only doors to tasks and agents and keep all of it in step, each at a cost that doesn't grow with the farm.
//! The index is not written down; it is made again when a state is read. [`crate::invariant`] holds it to that.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, BuildId, TaskId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::agent::{Agent, AgentPhase, Room};
use crate::build::{Build, BuildPhase, BuildResult};
use crate::identity::Identities;
use crate::image::Images;
use crate::queue::{Place, Queue};
use crate::register::Register;
use crate::task::{Task, TaskPhase};
use crate::time::Timestamp;

pub(crate) mod index;

use self::index::{Index, Openness};

/// Everything the farm remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct FarmState {
    pub(crate) now: Timestamp,
    pub(crate) submissions: u64,
    pub(crate) builds: Register<BuildId, Build>,
    pub(crate) tasks: Register<TaskId, Task>,
    pub(crate) agents: Register<AgentId, Agent>,
    /// What projects weigh that don't weigh 1.
    #[serde(default)]
    pub(crate) weights: BTreeMap<String, NonZeroU32>,
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    pub(crate) images: Images,
    #[serde(default)]
    pub(crate) identities: Identities,
    #[serde(skip)]
    pub(crate) index: Index,
}

/// How often something happened in the farm so far. Whoever keeps such a number can ask what happened since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// An agent gained room.
    pub gains: u64,
    /// What an agent should hold changed.
    pub revisions: u64,
    /// A task finished.
    pub endings: u64,
}

impl Serialize for FarmState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for FarmState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut state = Self::deserialize(deserializer)?;
        state.share_needs();
        state.index = Index::of(&state);
        Ok(state)
    }
}

impl FarmState {
    /// The time of the latest command.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// All builds.
    pub const fn builds(&self) -> &Register<BuildId, Build> {
        &self.builds
    }

    /// All tasks.
    pub const fn tasks(&self) -> &Register<TaskId, Task> {
        &self.tasks
    }

    /// All agents.
    pub const fn agents(&self) -> &Register<AgentId, Agent> {
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

    /// What waits.
    pub const fn queue(&self) -> &Queue {
        &self.index.queue
    }

    /// The waiting tasks: by project, need and rank.
    pub fn queued(&self) -> impl Iterator<Item = &Task> {
        self.index.queue.tasks().filter_map(|id| self.tasks.get(&id))
    }

    /// How often things happened so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The agents whose orders changed after that count of [`Counts::revisions`].
    pub fn revised_after(&self, revisions: u64) -> impl Iterator<Item = AgentId> {
        self.index.revised.range(revisions.saturating_add(1)..).map(|(_, agent)| *agent)
    }

    /// The agents that gained room after that count of [`Counts::gains`].
    pub fn gained_after(&self, gains: u64) -> impl Iterator<Item = &Agent> {
        let gained = self.index.gained.range(gains.saturating_add(1)..);
        gained.filter_map(|(_, agent)| self.agents.get(agent))
    }

    /// The tasks that finished after that count of [`Counts::endings`] and are still kept.
    pub fn finished_after(&self, endings: u64) -> impl Iterator<Item = &Task> {
        let finished = self.index.finished.range(endings.saturating_add(1)..);
        finished.filter_map(|(_, task)| self.tasks.get(task))
    }

    /// The build that a request made, as long as the farm remembers it.
    pub fn submitted_by(&self, request: Fingerprint) -> Option<BuildId> {
        self.index.requests.get(&request).copied()
    }

    /// How much of the farm a project gets beside the others.
    pub fn weight(&self, project: &str) -> NonZeroU32 {
        self.weights.get(project).copied().unwrap_or(NonZeroU32::MIN)
    }

    /// How many tasks of a project are held.
    pub fn active(&self, project: &str) -> u32 {
        self.index.active.get(project).copied().unwrap_or(0)
    }

    /// Puts a task into another phase. A finished task stays finished.
    pub(crate) fn move_task(&mut self, id: TaskId, next: TaskPhase) {
        self.alter_task(id, |task| task.phase = next);
    }

    /// Changes a task, and keeps everything that follows from it in step. A finished task stays as it is.
    pub(crate) fn alter_task(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(build) = self.builds.get_mut(&task.build) else { return };
        if task.is_finished() {
            return;
        }
        if matches!(task.phase, TaskPhase::Queued { .. }) {
            self.index.queue.remove(build, &Place::of(task, build));
        }
        let (before, had_room) = (orders(task), build.has_room());
        change(task);
        let after = orders(task);
        build.active = build.active + u32::from(after.is_some()) - u32::from(before.is_some());
        if task.is_finished() {
            build.unfinished -= 1;
            self.counts.endings += 1;
            task.ending = Some(self.counts.endings);
            self.index.finished.insert(self.counts.endings, id);
        }
        if had_room != build.has_room() {
            self.index.queue.set_ready(build, !had_room);
        }
        if matches!(task.phase, TaskPhase::Queued { .. }) {
            self.index.queue.insert(build, Place::of(task, build));
        }
        match (&before, &after) {
            (None, Some(_)) => self.index.hold(&build.origin.project),
            (Some(_), None) => self.index.release(&build.origin.project),
            _ => {}
        }
        let (room, build) = (Room::taken(&task.requirements), task.build);
        if before != after {
            self.hand_over(id, room, before.map(|(agent, ..)| agent), after.map(|(agent, ..)| agent));
        }
        self.settle(build);
    }

    /// Takes a task from one agent and gives it to another, or only tells the holder that its orders changed.
    fn hand_over(&mut self, task: TaskId, room: Room, from: Option<AgentId>, to: Option<AgentId>) {
        if let Some(agent) = from.filter(|_| from == to) {
            return self.revise(agent);
        }
        if let Some(agent) = from {
            self.alter_agent(agent, |agent| {
                agent.holds.remove(&task);
                agent.used = agent.used.minus(&room);
            });
            self.revise(agent);
        }
        if let Some(agent) = to {
            self.alter_agent(agent, |agent| {
                agent.holds.insert(task);
                agent.used = agent.used.plus(&room);
            });
            self.revise(agent);
        }
    }

    /// Changes an agent, and keeps everything that follows from it in step.
    pub(crate) fn alter_agent(&mut self, id: AgentId, change: impl FnOnce(&mut Agent)) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        if let Some(openness) = Openness::of(agent) {
            self.index.open.remove(&openness);
        }
        let (free, was_ready, offer) = (agent.free(), agent.is_ready(), Arc::clone(&agent.offer));
        change(agent);
        let gained = !was_ready || offer != agent.offer || !free.has(&agent.free());
        if agent.is_ready() && gained {
            self.index.gained.remove(&agent.gained);
            self.counts.gains += 1;
            agent.gained = self.counts.gains;
            self.index.gained.insert(agent.gained, id);
        }
        if let Some(openness) = Openness::of(agent) {
            self.index.open.insert(openness);
        }
    }

    /// Notes that what an agent should hold or do changed.
    pub(crate) fn revise(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        self.index.revised.remove(&agent.revised);
        self.counts.revisions += 1;
        agent.revised = self.counts.revisions;
        self.index.revised.insert(agent.revised, id);
    }

    /// Takes in an agent that wasn't known.
    pub(crate) fn add_agent(&mut self, id: AgentId) {
        let agent = Agent {
            id,
            name: String::new(),
            offer: Arc::default(),
            phase: AgentPhase::Gone { since: self.now },
            last_heard: self.now,
            holds: std::collections::BTreeSet::new(),
            used: Room::default(),
            leaving: false,
            asked_to_drain: false,
            gained: 0,
            revised: 0,
        };
        self.agents.insert(id, agent);
    }

    /// Forgets an agent.
    pub(crate) fn remove_agent(&mut self, id: AgentId) {
        if let Some(agent) = self.agents.remove(&id) {
            self.index.gained.remove(&agent.gained);
            self.index.revised.remove(&agent.revised);
            if let Some(openness) = Openness::of(&agent) {
                self.index.open.remove(&openness);
            }
        }
    }

    /// Takes in a build with its tasks, all of which wait.
    pub(crate) fn add_build(&mut self, build: Build, tasks: impl IntoIterator<Item = Task>) {
        self.index.take_off(&build);
        self.index.requests.extend(build.origin.request.map(|request| (request, build.id)));
        for task in tasks {
            self.index.queue.insert(&build, Place::of(&task, &build));
            self.tasks.insert(task.id, task);
        }
        self.builds.insert(build.id, build);
    }

    /// Forgets a build that ended, and its tasks.
    pub(crate) fn remove_build(&mut self, id: BuildId) {
        let Some(build) = self.builds.remove(&id) else { return };
        if let Some(request) = build.origin.request {
            self.index.requests.remove(&request);
        }
        for task in &build.tasks {
            self.images.by_task.remove(task);
            let ending = self.tasks.remove(task).and_then(|task| task.ending);
            if let Some(ending) = ending {
                self.index.finished.remove(&ending);
            }
        }
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
        self.index.land(build);
    }

    /// Makes tasks with equal needs share them again, as they did before the state was written down.
    fn share_needs(&mut self) {
        let mut known = std::collections::BTreeSet::new();
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            match known.get(&task.requirements) {
                Some(shared) => task.requirements = Arc::clone(shared),
                None => drop(known.insert(Arc::clone(&task.requirements))),
            }
        }
    }
}

/// What the holder of a task is told of it.
fn orders(task: &Task) -> Option<(AgentId, kiln_plan::id::AttemptId, bool)> {
    task.lease().map(|lease| (lease.agent, lease.attempt, task.cancelling))
}
