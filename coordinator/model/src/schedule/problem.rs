//! The problem of scheduling, cut out of the farm's state: what waits, by build, and where there is room.

use std::collections::{BTreeMap, VecDeque};

use crate::agent::Agent;
use crate::state::FarmState;
use crate::task::Task;

/// What waits and where there is room.
#[derive(Debug)]
pub struct Problem<'a> {
    /// The builds with waiting tasks, by order of submission.
    pub shares: BTreeMap<u64, Share<'a>>,
    /// The agents that take tasks, by identifier.
    pub seats: Vec<Seat<'a>>,
}

/// A build with waiting tasks.
#[derive(Debug)]
pub struct Share<'a> {
    /// How many of its tasks are held.
    pub active: u32,
    /// The most that may be; `None` for no limit.
    pub limit: Option<u32>,
    /// What waits, in the order of the template.
    pub waiting: VecDeque<Waiting<'a>>,
}

impl Share<'_> {
    /// Whether one more task may be held.
    pub fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.active < limit)
    }
}

/// A waiting task.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The task.
    pub task: &'a Task,
}

/// An agent that takes tasks, with the room it has left.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// Free slots.
    pub slots: u32,
    /// Free logical processors; `None` when the agent doesn't count them.
    pub cpus: Option<u32>,
    /// Free MiB of memory; `None` when the agent doesn't count it.
    pub memory_mib: Option<u64>,
}

impl<'a> Seat<'a> {
    /// The room that `agent` has left.
    pub fn of(agent: &'a Agent, state: &FarmState) -> Self {
        let mut seat = Self {
            agent,
            slots: agent.offer.slots,
            cpus: (agent.offer.cpus > 0).then_some(agent.offer.cpus),
            memory_mib: (agent.offer.memory_mib > 0).then_some(agent.offer.memory_mib),
        };
        for task in agent.holds.iter().filter_map(|id| state.tasks.get(id)) {
            seat.take(task);
        }
        seat
    }

    /// Gives room to a task.
    pub fn take(&mut self, task: &Task) {
        self.slots = self.slots.saturating_sub(1);
        self.cpus = self.cpus.map(|free| free.saturating_sub(task.requirements.cpus));
        self.memory_mib = self.memory_mib.map(|free| free.saturating_sub(task.requirements.memory_mib));
    }
}

impl<'a> Problem<'a> {
    /// What waits in `state` and where there is room in it.
    pub fn of(state: &'a FarmState) -> Self {
        let ready = state.agents.values().filter(|agent| agent.is_ready());
        let seats = ready.map(|agent| Seat::of(agent, state)).collect();
        let mut shares = BTreeMap::new();
        for task in state.queued() {
            let Some(build) = state.builds.get(&task.build) else { continue };
            let share = shares.entry(build.order).or_insert_with(|| Share {
                active: build.active,
                limit: build.parallel.map(std::num::NonZeroU32::get),
                waiting: VecDeque::new(),
            });
            share.waiting.push_back(Waiting { task });
        }
        Self { shares, seats }
    }
}
