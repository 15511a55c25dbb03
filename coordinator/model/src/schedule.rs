//! Who takes which task.
//!
//! Wanted, in this order:
//! 1. Nothing is given to an agent that doesn't offer what the task needs, or beyond its room.
//! 2. No build has more tasks held than its limit.
//! 3. Nothing that could be placed is left waiting.
//! 4. Projects share the room: the one with the fewest tasks held for its weight goes first. Within a project the rank
//!    decides ([`crate::queue`]: priority, age, order of submission), past tasks that fit nowhere now.
//! 5. A task goes where it was not tried yet, then where its preferred accelerator is, then to an idle agent, then to
//!    the one with the most free slots, then the most free memory.
//! 6. What needs more room than ever gets free at once is not passed over for ever: after [`STARVING_MS`] an agent is
//!    kept free for it.
//!
//! **Cost.** A round costs about as much as it assigns, whatever waits and however many agents there are: tasks of one
//! class ([`Class`]) are alike, so a class that fits nowhere is passed over whole, and is looked at again only when
//! an agent has gained room since ([`Scheduler`] remembers up to which gain it looked). Within a round room only
//! shrinks, so each class looks at each agent once.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::id::{AgentId, TaskId};

pub mod fit;
mod round;

use self::round::Round;
use crate::queue::Class;
use crate::state::FarmState;
use crate::task::TaskPhase;
use crate::time::Timestamp;

/// How long something must have waited that fits nowhere, though it would on an idle agent, until an agent is kept free
/// for it, in milliseconds.
pub const STARVING_MS: u64 = 10 * 60_000;

/// At most one agent of so many is kept free, but always one.
const KEPT_OF: usize = 10;

/// A task for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Who takes it.
    pub agent: AgentId,
}

/// What should be assigned now, at most `most` of it, as someone says who remembers nothing.
pub fn assignments(state: &FarmState, most: usize) -> Vec<Assignment> {
    Scheduler::default().assignments(state, state.now, most)
}

/// Assigns, and remembers between rounds what need not be looked at again. Forgetting it costs time and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    /// The classes that fit nowhere, with the count of gains up to which that is known.
    blocked: BTreeMap<Class, u64>,
    /// Agents that are kept free for a class.
    kept: BTreeMap<AgentId, Class>,
    /// Tasks that are not to be given to anybody for a while.
    held_back: BTreeSet<TaskId>,
}

impl Scheduler {
    /// What should be assigned now, at most `most` of it.
    pub fn assignments(&mut self, state: &FarmState, now: Timestamp, most: usize) -> Vec<Assignment> {
        if state.queue().is_empty() || state.index.open.is_empty() {
            return Vec::new();
        }
        self.look_again(state);
        let assigned = Round::new(state, self).run(most);
        self.keep_free(state, now);
        assigned
    }

    /// Passes over these tasks, and no others, from now on.
    pub fn hold_back(&mut self, tasks: BTreeSet<TaskId>) {
        self.held_back = tasks;
    }

    /// Unblocks what fits on agents that gained room, and forgets what waits no more.
    fn look_again(&mut self, state: &FarmState) {
        if self.blocked.is_empty() {
            return;
        }
        let waiting: BTreeSet<&Class> = state.queue().lanes().map(|(class, _)| class).collect();
        let kept = &self.kept;
        self.blocked.retain(|class, known| {
            let mut gained = state.gained_after(*known);
            let fits = gained.any(|agent| {
                kept.get(&agent.id).is_none_or(|keeper| keeper == class)
                    && fit::fits(class, agent, &agent.free())
            });
            *known = state.counts.gains;
            !fits && waiting.contains(class)
        });
    }

    /// Keeps an agent free for each class that has starved, and lets go of those that are needed no more.
    fn keep_free(&mut self, state: &FarmState, now: Timestamp) {
        let starved = |class: &Class| {
            let lanes = state.queue().projects().filter_map(|(_, lanes)| lanes.get(class));
            let heads = lanes.filter_map(|lane| lane.ready.first_key_value()?.1.tasks.first());
            let since = heads.filter_map(|(_, task)| match state.tasks.get(task)?.phase {
                TaskPhase::Queued { since } => Some(since),
                _ => None,
            });
            since.min().is_some_and(|since| now.ms_since(since) >= STARVING_MS)
        };
        let before = self.kept.len();
        let blocked = &self.blocked;
        self.kept.retain(|agent, class| {
            let there = state.agents.get(agent).is_some_and(|agent| fit::could(class, agent));
            there && blocked.contains_key(class) && starved(class)
        });
        if self.kept.len() < before {
            // Who was kept out there may fit now.
            self.blocked.retain(|class, _| self.kept.values().any(|keeper| keeper == class));
        }
        let most = (state.agents.len() / KEPT_OF).max(1);
        let served: BTreeSet<&Class> = self.kept.values().collect();
        let starving: Vec<Class> =
            self.blocked.keys().filter(|c| !served.contains(c) && starved(c)).cloned().collect();
        for class in starving.into_iter().take(most.saturating_sub(self.kept.len())) {
            let able = state
                .agents
                .values()
                .filter(|agent| !self.kept.contains_key(&agent.id) && fit::could(&class, agent));
            // The one that is nearest to being free enough, so that the choice stands until it is.
            let nearest = able.max_by_key(|a| (a.free().memory_mib, a.free().slots, std::cmp::Reverse(a.id)));
            if let Some(agent) = nearest {
                self.kept.insert(agent.id, class);
            }
        }
    }
}
