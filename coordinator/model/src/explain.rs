//! Why a task is where it is, in words, with the rule and the numbers: what `kiln farm explain` says.
//!
//! ```text
//!   waiting for 3 min 2 s in project web, with priority 5
//!   7 agents: 4 have no kvm for x86_64; 2 have at most 3072 MiB of memory free of the 8192 needed; 1 is draining
//!   12 tasks of project web go first
//! ```

use std::collections::BTreeMap;
use std::fmt;

use kiln_plan::Acceleration;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::TaskId;

use crate::agent::{Agent, AgentPhase, Room};
use crate::build::Build;
use crate::overrun::spell;
use crate::queue::{Class, Place};
use crate::schedule::fit;
use crate::state::FarmState;
use crate::task::{Task, TaskPhase};
use crate::time::Timestamp;

/// The most reasons that are told apart; the others are counted together.
const REASONS: usize = 8;

/// The most letters of a name that users chose.
const LETTERS: usize = 60;

/// The most tasks that are counted one by one.
const COUNTED: usize = 10_000;

/// Why a task is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence each, without full stop; a dozen at most.
    pub lines: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

/// Why a task is where it is at that time; `None` when it isn't known.
pub fn explain(state: &FarmState, id: TaskId, now: Timestamp) -> Option<Explanation> {
    let task = state.tasks.get(&id)?;
    let build = state.builds.get(&task.build)?;
    let name = |agent| state.agents.get(&agent).map_or_else(|| "a former agent".into(), |a| short(&a.name));
    let lines = match &task.phase {
        TaskPhase::Queued { since } => waiting(state, task, build, now.ms_since(*since)),
        TaskPhase::Leased(lease) => {
            let since = spell(now.ms_since(lease.granted));
            vec![format!("given to {} {since} ago, which has not said yet that it began", name(lease.agent))]
        }
        TaskPhase::Running(lease) => {
            let since = spell(now.ms_since(lease.granted));
            let most = task.terms.deadline_ms.map(|ms| format!("; it may take {}", spell(ms)));
            vec![format!("under way on {} for {since}{}", name(lease.agent), most.unwrap_or_default())]
        }
        TaskPhase::Finished { outcome, .. } => vec![match outcome {
            TaskOutcome::Succeeded { .. } => "it succeeded".to_owned(),
            TaskOutcome::Failed { failure } => format!("it failed: {failure}"),
            TaskOutcome::Cancelled => "it was cancelled".to_owned(),
        }],
    };
    Some(Explanation { lines })
}

fn waiting(state: &FarmState, task: &Task, build: &Build, ms: u64) -> Vec<String> {
    let project = short(&build.origin.project);
    let priority = build.origin.priority + task.terms.priority;
    let mut lines = vec![format!("waiting for {} in project {project}, with priority {priority}", spell(ms))];
    if !task.attempts.is_empty() {
        let tried = task.attempts.len();
        lines.push(format!("tried {tried} times before; agents that haven't tried it are taken first"));
    }
    if !build.has_room() {
        let (active, limit) = (build.active, build.parallel.map_or(0, std::num::NonZeroU32::get));
        lines.push(format!("{active} tasks of its build are under way and no more than {limit} may be"));
    }
    let class = task.class();
    let (survey, open) = survey(state, &class);
    lines.push(survey);
    if open > 0 && build.has_room() {
        lines.push("it fits now and is next when the tasks before it are placed".to_owned());
    }
    lines.extend(ahead(state, task, build));
    lines
}

/// What keeps each agent from taking a task of the class, and how many it keeps from nothing.
fn survey(state: &FarmState, class: &Class) -> (String, usize) {
    let mut reasons: BTreeMap<Reason, (usize, u64)> = BTreeMap::new();
    let (mut agents, mut open) = (0_usize, 0_usize);
    for agent in state.agents.values().filter(|a| !matches!(a.phase, AgentPhase::Gone { .. })) {
        agents += 1;
        match Reason::of(class, agent) {
            None => open += 1,
            Some((reason, free)) => {
                let entry = reasons.entry(reason).or_default();
                *entry = (entry.0 + 1, entry.1.max(free));
            }
        }
    }
    if agents == 0 {
        return ("the farm has no agents; start one with `kiln agent`".to_owned(), 0);
    }
    let mut counted: Vec<_> = reasons.into_iter().collect();
    counted.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let others: usize = counted.iter().skip(REASONS).map(|(_, (count, _))| count).sum();
    let mut told: Vec<String> = Vec::new();
    if open > 0 {
        told.push(format!("{open} could take it now"));
    }
    told.extend(counted.into_iter().take(REASONS).map(|(r, (count, free))| r.told(class, count, free)));
    if others > 0 {
        told.push(format!("{others} can't for other reasons"));
    }
    let noun = if agents == 1 { "agent" } else { "agents" };
    (format!("{agents} {noun}: {}", told.join("; ")), open)
}

/// Who goes first, by which rule.
fn ahead(state: &FarmState, task: &Task, build: &Build) -> Vec<String> {
    let mine = Place::of(task, build);
    let project = &build.origin.project;
    let share = |name: &str| f64::from(state.active(name)) / f64::from(state.weight(name).get());
    let mut lines = Vec::new();
    let mut earlier_projects = 0_usize;
    for (name, lanes) in state.queue().projects() {
        if name != project {
            earlier_projects += usize::from(share(name) < share(project));
            continue;
        }
        let runs = lanes.values().flat_map(|lane| lane.ready.range(..=mine.rank));
        let earlier = runs.flat_map(|(rank, run)| run.tasks.iter().map(move |spot| (*rank, *spot)));
        let count = earlier.filter(|spot| *spot < (mine.rank, mine.spot)).take(COUNTED).count();
        let told = if count == COUNTED { format!("{count} or more") } else { count.to_string() };
        lines.push(match count {
            0 => format!("no task of project {} goes first", short(project)),
            1 => format!("1 task of project {} goes first", short(project)),
            _ => format!("{told} tasks of project {} go first, by priority and age", short(project)),
        });
    }
    if earlier_projects > 0 {
        let (active, weight) = (state.active(project), state.weight(project));
        lines.push(format!(
            "{earlier_projects} other projects hold less of the farm for their weight and go first; project {} holds \
             {active} tasks at weight {weight}",
            short(project)
        ));
    }
    lines
}

/// What keeps an agent from taking a task, the first that applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Lost,
    Draining,
    NoSlots,
    FailedThere,
    Component(String),
    Arch,
    Accelerator,
    Label(String),
    Has(Measure),
    Busy,
    Free(Measure),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Processors,
    Memory,
    Disk,
}

impl Measure {
    const ALL: [Self; 3] = [Self::Processors, Self::Memory, Self::Disk];

    fn of(self, room: &Room) -> u64 {
        match self {
            Self::Processors => u64::from(room.cpus),
            Self::Memory => room.memory_mib,
            Self::Disk => room.disk_mib,
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Processors => "processors",
            Self::Memory => "MiB of memory",
            Self::Disk => "MiB of disk",
        }
    }
}

impl Reason {
    /// What keeps the agent from it, with what it has of the measure in question.
    fn of(class: &Class, agent: &Agent) -> Option<(Self, u64)> {
        let (need, offer) = (&class.need, &agent.offer);
        match agent.phase {
            AgentPhase::Lost { .. } | AgentPhase::Gone { .. } => return Some((Self::Lost, 0)),
            AgentPhase::Draining => return Some((Self::Draining, 0)),
            AgentPhase::Ready => {}
        }
        if offer.slots == 0 {
            return Some((Self::NoSlots, 0));
        }
        if class.tried.contains(&(agent.id, true)) {
            return Some((Self::FailedThere, 0));
        }
        if let Some(missing) = need.components.difference(&offer.components).next() {
            return Some((Self::Component(missing.clone()), 0));
        }
        if need.arch.as_deref().is_some_and(|arch| !offer.is_of(arch)) {
            return Some((Self::Arch, 0));
        }
        if matches!(&need.acceleration, Acceleration::Required(wanted) if !offer.has_accelerator(wanted)) {
            return Some((Self::Accelerator, 0));
        }
        let mut labels = need.labels.iter();
        if let Some((name, value)) = labels.find(|(name, value)| offer.labels.get(*name) != Some(*value)) {
            return Some((Self::Label(format!("{}={}", short(name), short(value))), 0));
        }
        let (wanted, all, free) = (Room::taken(need), Room::offered(offer), agent.free());
        let lacks = |room: &Room| Measure::ALL.into_iter().find(|m| m.of(room) < m.of(&wanted));
        if let Some(measure) = lacks(&all) {
            return Some((Self::Has(measure), measure.of(&all)));
        }
        if free.slots == 0 {
            return Some((Self::Busy, 0));
        }
        if let Some(measure) = lacks(&free) {
            return Some((Self::Free(measure), measure.of(&free)));
        }
        debug_assert!(fit::fits(class, agent, &free), "every rule of fitting has a reason");
        None
    }

    fn told(&self, class: &Class, count: usize, free: u64) -> String {
        let verb = |one: &'static str, many: &'static str| if count == 1 { one } else { many };
        let (has, is) = (verb("has", "have"), verb("is", "are"));
        let needed = |measure: Measure| measure.of(&Room::taken(&class.need));
        let at_most = if count == 1 { "" } else { "at most " };
        match self {
            Self::Lost => format!("{count} {is} not heard of"),
            Self::Draining => format!("{count} {is} draining"),
            Self::NoSlots => format!("{count} {} no tasks at all", verb("takes", "take")),
            Self::FailedThere => format!("{count} failed it before by the machine's own fault"),
            Self::Component(name) => format!("{count} {has} no {}", short(name)),
            Self::Arch => {
                format!("{count} {is} not {}", class.need.arch.as_deref().map(short).unwrap_or_default())
            }
            Self::Accelerator => {
                let wanted = class.need.acceleration.accelerator().map(ToString::to_string);
                format!("{count} {has} no {}", short(&wanted.unwrap_or_default()))
            }
            Self::Label(label) => format!("{count} {has} not the label {label}"),
            Self::Has(m) => {
                format!("{count} {has} {at_most}{free} {} in all of the {} needed", m.unit(), needed(*m))
            }
            Self::Busy => format!("{count} {has} no free slot"),
            Self::Free(m) => {
                format!("{count} {has} {at_most}{free} {} free of the {} needed", m.unit(), needed(*m))
            }
        }
    }
}

/// A name that users chose, cut when it is long.
fn short(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
