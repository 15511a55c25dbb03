//! What would be dear to search for in a farm. All of it follows from the rest of the state.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, BuildId, TaskId};

use crate::agent::{Agent, Room};
use crate::build::Build;
use crate::queue::{Place, Queue};
use crate::state::FarmState;
use crate::task::TaskPhase;

/// The place of an agent among those with room: idle ones first, then by free slots, then by free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Openness {
    idle: Reverse<bool>,
    slots: Reverse<u32>,
    memory_mib: Reverse<u64>,
    pub(crate) agent: AgentId,
}

impl Openness {
    /// The place of an agent; `None` when it takes nothing.
    pub(crate) fn of(agent: &Agent) -> Option<Self> {
        Self::with(agent, &agent.free())
    }

    /// The place it would have with that much room left.
    pub(crate) fn with(agent: &Agent, free: &Room) -> Option<Self> {
        let open = agent.is_ready() && free.slots > 0;
        open.then_some(Self {
            idle: Reverse(free.slots == agent.offer.slots),
            slots: Reverse(free.slots),
            memory_mib: Reverse(free.memory_mib),
            agent: agent.id,
        })
    }
}

/// What would be dear to search for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// What waits.
    pub(crate) queue: Queue,
    /// The agents that take tasks and have a slot.
    pub(crate) open: BTreeSet<Openness>,
    /// The agents, by when they last gained room.
    pub(crate) gained: BTreeMap<u64, AgentId>,
    /// The agents, by when their orders last changed.
    pub(crate) revised: BTreeMap<u64, AgentId>,
    /// The finished tasks, by when they did.
    pub(crate) finished: BTreeMap<u64, TaskId>,
    /// How many tasks are held, by project; those of which none is are left out.
    pub(crate) active: BTreeMap<String, u32>,
    /// The builds under way that others may join: by project and what they do, the oldest first.
    pub(crate) in_flight: BTreeSet<(String, Fingerprint, u64, BuildId)>,
    /// The builds whose requests have a key.
    pub(crate) requests: BTreeMap<Fingerprint, BuildId>,
}

impl Index {
    /// The index of a state, made anew.
    pub(crate) fn of(state: &FarmState) -> Self {
        let mut index = Self::default();
        for agent in state.agents.values() {
            index.open.extend(Openness::of(agent));
            if agent.gained > 0 {
                index.gained.insert(agent.gained, agent.id);
            }
            if agent.revised > 0 {
                index.revised.insert(agent.revised, agent.id);
            }
        }
        for task in state.tasks.values() {
            let Some(build) = state.builds.get(&task.build) else { continue };
            if matches!(task.phase, TaskPhase::Queued { .. }) {
                index.queue.insert(build, Place::of(task, build));
            }
            if task.lease().is_some() {
                index.hold(&build.origin.project);
            }
            index.finished.extend(task.ending.map(|ending| (ending, task.id)));
        }
        let keyed = |build: &Build| Some((build.origin.request?, build.id));
        index.requests.extend(state.builds.values().filter_map(keyed));
        let running = state.builds.values().filter(|build| !build.is_ended());
        running.for_each(|build| index.take_off(build));
        index
    }

    /// Counts a task of a project that is held from now on.
    pub(crate) fn hold(&mut self, project: &str) {
        match self.active.get_mut(project) {
            Some(active) => *active += 1,
            None => drop(self.active.insert(project.to_owned(), 1)),
        }
    }

    /// Counts a task of a project that is held no longer.
    pub(crate) fn release(&mut self, project: &str) {
        if let Some(active) = self.active.get_mut(project) {
            *active -= 1;
            if *active == 0 {
                self.active.remove(project);
            }
        }
    }

    /// A build is under way and may be joined.
    pub(crate) fn take_off(&mut self, build: &Build) {
        self.in_flight.extend(flight(build));
    }

    /// A build that ended is joined no more.
    pub(crate) fn land(&mut self, build: &Build) {
        if let Some(flight) = flight(build) {
            self.in_flight.remove(&flight);
        }
    }
}

fn flight(build: &Build) -> Option<(String, Fingerprint, u64, BuildId)> {
    Some((build.origin.project.clone(), build.origin.fingerprint?, build.order, build.id))
}
