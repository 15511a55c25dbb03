//! One round of assigning: what was given in it lies beside the state, which it only reads.
//!
//! ```text
//!   turns: projects by share ──► heads: their lanes by rank ──► agents by openness, from where the class left off
//!     ▲                                                            │
//!     └──────────── one more held, back in turn ◄──────────────────┘
//! ```

use std::collections::btree_map::Iter as Runs;
use std::collections::btree_set::Iter as Spots;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use kiln_plan::id::{AgentId, BuildId, TaskId};

use super::fit::{self, Suit};
use super::{Assignment, Scheduler};
use crate::agent::Room;
use crate::queue::{Class, Lane, Rank, Run};
use crate::state::FarmState;
use crate::state::index::Openness;

/// A project's share of the farm per unit of weight is counted in millionths of a task.
const SHARE_UNIT: u64 = 1_000_000;

/// A round.
pub(super) struct Round<'a> {
    state: &'a FarmState,
    scheduler: &'a mut Scheduler,
    /// What is left of agents that were given something in this round.
    left: BTreeMap<AgentId, Room>,
    /// Their places among those with room.
    moved: BTreeSet<Openness>,
    /// How many tasks of builds were given in this round.
    given: BTreeMap<BuildId, u32>,
    /// Up to where a class has found no agent that suits it so well.
    looked: BTreeMap<(&'a Class, Suit), Openness>,
}

/// The next task of a lane.
type Head = (Rank, u32, TaskId);

/// How far a round has come in a lane.
struct Cursor<'a> {
    class: &'a Class,
    runs: Runs<'a, Rank, Run>,
    rank: Rank,
    build: BuildId,
    spots: Spots<'a, (u32, TaskId)>,
}

/// The lanes of a project, by their next tasks.
type Heads<'a> = BTreeMap<Head, Cursor<'a>>;

impl<'a> Round<'a> {
    pub(super) fn new(state: &'a FarmState, scheduler: &'a mut Scheduler) -> Self {
        let (left, moved) = (BTreeMap::new(), BTreeSet::new());
        Self { state, scheduler, left, moved, given: BTreeMap::new(), looked: BTreeMap::new() }
    }

    /// Assigns, at most so much.
    pub(super) fn run(mut self, most: usize) -> Vec<Assignment> {
        let mut assigned = Vec::new();
        let mut projects: Vec<(&str, Heads<'a>)> = Vec::new();
        for (project, lanes) in self.state.queue().projects() {
            let open = lanes.iter().filter(|(class, _)| !self.scheduler.blocked.contains_key(class));
            let heads: Heads<'a> = open.filter_map(|(class, lane)| Cursor::new(class, lane)).collect();
            if !heads.is_empty() {
                projects.push((project, heads));
            }
        }
        let mut turns: BTreeSet<(u64, Head, usize)> = BTreeSet::new();
        let state = self.state;
        let turn = |held: u32, nth: usize, project: &str, heads: &Heads<'_>| {
            let head = heads.first_key_value().map(|(head, _)| *head)?;
            let share = u64::from(held) * SHARE_UNIT / u64::from(state.weight(project).get());
            Some((share, head, nth))
        };
        let mut held: Vec<u32> = projects.iter().map(|(name, _)| state.active(name)).collect();
        turns.extend(projects.iter().enumerate().filter_map(|(n, (name, h))| turn(held[n], n, name, h)));
        while assigned.len() < most
            && let Some((_, _, nth)) = turns.pop_first()
        {
            let (project, heads) = &mut projects[nth];
            // With another head it may be another project's turn.
            if let Some(assignment) = self.place_first(heads) {
                assigned.push(assignment);
                held[nth] += 1;
            }
            turns.extend(turn(held[nth], nth, project, heads));
        }
        assigned
    }

    /// Places the first task of a project, or puts out of its way what keeps it from being placed: a lane that fits
    /// nowhere is dropped for this round.
    fn place_first(&mut self, heads: &mut Heads<'a>) -> Option<Assignment> {
        let ((_, _, task), cursor) = heads.pop_first()?;
        if self.scheduler.blocked.contains_key(cursor.class) {
            return None;
        }
        if !self.has_room(cursor.build) {
            heads.extend(cursor.next_run());
            return None;
        }
        if self.scheduler.held_back.contains(&task) {
            heads.extend(cursor.next());
            return None;
        }
        let Some(agent) = self.find(cursor.class) else {
            self.scheduler.blocked.insert(cursor.class.clone(), self.state.counts.gains);
            return None;
        };
        self.give(cursor.class, cursor.build, agent);
        heads.extend(cursor.next());
        Some(Assignment { task, agent })
    }

    fn has_room(&self, build: BuildId) -> bool {
        let given = self.given.get(&build).copied().unwrap_or(0);
        let build = self.state.builds.get(&build);
        build.is_some_and(|b| b.parallel.is_none_or(|limit| b.active + given < limit.get()))
    }

    /// The agent that should take a task of the class.
    fn find(&mut self, class: &'a Class) -> Option<AgentId> {
        fit::levels(class).iter().find_map(|level| self.look(class, *level))
    }

    /// The first agent with room that suits so well, from where the class left off.
    fn look(&mut self, class: &'a Class, level: Suit) -> Option<AgentId> {
        let from = |looked: Option<Openness>| looked.map_or(Bound::Unbounded, Bound::Excluded);
        let start = from(self.looked.get(&(class, level)).copied());
        let mut fresh = self.state.index.open.range((start, Bound::Unbounded)).peekable();
        let mut moved = self.moved.range((start, Bound::Unbounded)).peekable();
        let mut looked = None;
        let found = loop {
            let (openness, is_fresh) = match (fresh.peek(), moved.peek()) {
                (Some(a), Some(b)) if a < b => (**a, true),
                (_, Some(b)) => (**b, false),
                (Some(a), None) => (**a, true),
                (None, None) => break None,
            };
            let stale = is_fresh && self.left.contains_key(&openness.agent);
            if !stale && self.takes(class, level, openness.agent) {
                break Some(openness.agent);
            }
            looked = Some(openness);
            let _ = if is_fresh { fresh.next() } else { moved.next() };
        };
        if let Some(looked) = looked {
            self.looked.insert((class, level), looked);
        }
        found
    }

    fn takes(&self, class: &Class, level: Suit, agent: AgentId) -> bool {
        if self.scheduler.kept.get(&agent).is_some_and(|keeper| keeper != class) {
            return false;
        }
        let Some(agent) = self.state.agents.get(&agent) else { return false };
        let free = self.left.get(&agent.id).copied().unwrap_or_else(|| agent.free());
        fit::suit(class, agent) <= level && fit::fits(class, agent, &free)
    }

    fn give(&mut self, class: &Class, build: BuildId, agent: AgentId) {
        *self.given.entry(build).or_default() += 1;
        let Some(taker) = self.state.agents.get(&agent) else { return };
        let before = self.left.get(&agent).copied();
        if let Some(place) = before.and_then(|free| Openness::with(taker, &free)) {
            self.moved.remove(&place);
        }
        let free = before.unwrap_or_else(|| taker.free()).minus(&Room::taken(&class.need));
        self.left.insert(agent, free);
        self.moved.extend(Openness::with(taker, &free));
    }
}

impl<'a> Cursor<'a> {
    /// The beginning of a lane; `None` when nothing in it is ready.
    fn new(class: &'a Class, lane: &'a Lane) -> Option<(Head, Self)> {
        let mut runs = lane.ready.iter();
        let (rank, run) = runs.next()?;
        let cursor = Self { class, runs, rank: *rank, build: run.build, spots: run.tasks.iter() };
        cursor.next()
    }

    /// With the next task.
    fn next(mut self) -> Option<(Head, Self)> {
        match self.spots.next() {
            Some((index, task)) => Some(((self.rank, *index, *task), self)),
            None => self.next_run(),
        }
    }

    /// With the first task of the next run.
    fn next_run(mut self) -> Option<(Head, Self)> {
        let (rank, run) = self.runs.next()?;
        (self.rank, self.build, self.spots) = (*rank, run.build, run.tasks.iter());
        self.next()
    }
}
