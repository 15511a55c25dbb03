//! What waits, kept so that a scheduler finds the next task without looking at those that it can't place.
//!
//! ```text
//!   project ─► class (same needs, same history) ─► lane: runs by rank ─► run: waiting tasks of one build
//!                                                  ready │ parked, while the build is at its limit
//! ```
//!
//! If one task of a class fits nowhere, none does, so a scheduler passes over whole lanes. A build that reaches its
//! limit takes its runs out of the way at once, however many tasks wait in them.
//!
//! **Rank** is priority and age in one number that never changes: the time of submission, earlier by a minute for
//! each point of priority. So a task of priority 10 goes before those of priority 0 that were submitted up to ten
//! minutes earlier, and nothing is overtaken for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiln_plan::Requirements;
use kiln_plan::id::{AgentId, BuildId, TaskId};
use kiln_plan::requirements::HIGHEST_PRIORITY;

use crate::build::Build;
use crate::task::Task;

/// How much earlier a task counts as submitted for each point of priority, in milliseconds.
pub const POINT_MS: i64 = 60_000;

/// Priority and age: lower goes first. Then the order of submission.
pub type Rank = (i64, u64);

/// What a scheduler must know of a task. Tasks of one class are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// What a machine must offer.
    pub need: Arc<Requirements>,
    /// The agents on which it was tried, and whether it failed there by the machine's own fault.
    pub tried: Vec<(AgentId, bool)>,
}

/// The waiting tasks of one build, class and rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The build.
    pub build: BuildId,
    /// Its tasks, in the order of the template.
    pub tasks: BTreeSet<(u32, TaskId)>,
}

/// The waiting tasks of one project and class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Those of builds that may have more tasks held.
    pub ready: BTreeMap<Rank, Run>,
    /// Those of builds at their limit.
    pub parked: BTreeMap<Rank, Run>,
    /// How many tasks wait in it.
    pub waiting: usize,
}

/// All that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    lanes: BTreeMap<String, BTreeMap<Class, Lane>>,
    runs: BTreeMap<BuildId, BTreeSet<(Class, Rank)>>,
    waiting: usize,
}

/// Where a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Class,
    pub(crate) rank: Rank,
    pub(crate) spot: (u32, TaskId),
}

impl Place {
    pub(crate) fn of(task: &Task, build: &Build) -> Self {
        let priority = build.origin.priority.saturating_add(task.terms.priority);
        let priority = priority.clamp(-HIGHEST_PRIORITY, HIGHEST_PRIORITY);
        let submitted = i64::try_from(build.submitted.0).unwrap_or(i64::MAX);
        let rank = (submitted.saturating_sub(POINT_MS * i64::from(priority)), build.order);
        Self { class: task.class(), rank, spot: (task.index, task.id) }
    }
}

impl Queue {
    /// How many tasks wait.
    pub const fn len(&self) -> usize {
        self.waiting
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// The projects of which something waits, with their lanes.
    pub fn projects(&self) -> impl Iterator<Item = (&str, &BTreeMap<Class, Lane>)> {
        self.lanes.iter().map(|(project, lanes)| (project.as_str(), lanes))
    }

    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = (&Class, &Lane)> {
        self.lanes.values().flatten()
    }

    /// Every task that waits: by project, class, rank.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        let runs = self.lanes().flat_map(|(_, lane)| lane.ready.values().chain(lane.parked.values()));
        runs.flat_map(|run| run.tasks.iter().map(|(_, task)| *task))
    }

    pub(crate) fn insert(&mut self, build: &Build, place: Place) {
        let Place { class, rank, spot } = place;
        self.waiting += 1;
        if !self.lanes.contains_key(&build.origin.project) {
            self.lanes.insert(build.origin.project.clone(), BTreeMap::new());
        }
        let lanes = self.lanes.get_mut(&build.origin.project);
        let Some(lane) = lanes.map(|lanes| lanes.entry(class.clone()).or_default()) else { return };
        lane.waiting += 1;
        let runs = if build.has_room() { &mut lane.ready } else { &mut lane.parked };
        let run = runs.entry(rank).or_insert_with(|| {
            self.runs.entry(build.id).or_default().insert((class, rank));
            Run { build: build.id, tasks: BTreeSet::new() }
        });
        run.tasks.insert(spot);
    }

    pub(crate) fn remove(&mut self, build: &Build, place: &Place) {
        let Place { class, rank, spot } = place;
        let Some(lanes) = self.lanes.get_mut(&build.origin.project) else { return };
        let Some(lane) = lanes.get_mut(class) else { return };
        for runs in [&mut lane.ready, &mut lane.parked] {
            let Some(run) = runs.get_mut(rank) else { continue };
            if !run.tasks.remove(spot) {
                continue;
            }
            lane.waiting -= 1;
            self.waiting -= 1;
            if run.tasks.is_empty() {
                runs.remove(rank);
                if let Some(runs) = self.runs.get_mut(&build.id) {
                    runs.remove(&(class.clone(), *rank));
                    if runs.is_empty() {
                        self.runs.remove(&build.id);
                    }
                }
            }
        }
        if lane.waiting == 0 {
            lanes.remove(class);
            if lanes.is_empty() {
                self.lanes.remove(&build.origin.project);
            }
        }
    }

    /// Parks the runs of a build that reached its limit, or makes them ready again.
    pub(crate) fn set_ready(&mut self, build: &Build, ready: bool) {
        let Some(lanes) = self.lanes.get_mut(&build.origin.project) else { return };
        for (class, rank) in self.runs.get(&build.id).into_iter().flatten() {
            let Some(lane) = lanes.get_mut(class) else { continue };
            let (from, to) = match ready {
                true => (&mut lane.parked, &mut lane.ready),
                false => (&mut lane.ready, &mut lane.parked),
            };
            if let Some(run) = from.remove(rank) {
                to.insert(*rank, run);
            }
        }
    }
}
