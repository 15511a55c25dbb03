//! From what is known of a build to the spans of its trace: pure.
//!
//! ```text
//!   build ─┬─ qemu.debian (a task) ─┬─ wait for an agent
//!          │                        ├─ attempt 1 ─┬─ start the guest          by the events,
//!          │                        │             ├─ provision the guest      by the machine's clock
//!          │                        │             │    └─ provision by shell
//!          │                        │             └─ publish the image
//!          │                        ├─ wait for an agent
//!          │                        └─ attempt 2 …
//!          └─ null.x …
//! ```
//!
//! The trace's identifier is the build's own, unless its submitter has named a span that it belongs under.
//!
//! No words of templates, tools or guests get in: only identifiers, names that the template and the farm gave, times, and
//! whose fault a failure was. So nothing has to be hidden.

use std::collections::BTreeMap;

use kiln_model::task::{AttemptEnd, EndedAttempt};
use kiln_model::{Build, BuildPhase, BuildResult, FarmState, Lease, Task, TaskPhase, Timestamp};
use kiln_plan::Fault;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use kiln_proto::otlp::{Span, Status, Value};
use uuid::Uuid;

use super::steps::{Seen, Steps};

#[cfg(test)]
mod tests;

/// What is known of a build that ended.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) build: Build,
    /// In the order of the template.
    pub(super) tasks: Vec<Task>,
    /// The names of agents.
    pub(super) agents: BTreeMap<AgentId, String>,
    /// What was seen of the steps of tasks.
    pub(super) steps: BTreeMap<TaskId, Steps>,
}

impl Story {
    /// What the ledger says of a build that ended.
    pub(super) fn of(farm: &FarmState, build: BuildId) -> Option<Self> {
        let build = farm.builds().get(&build).filter(|build| build.is_ended())?.clone();
        let tasks: Vec<Task> = build.tasks.iter().filter_map(|id| farm.tasks().get(id)).cloned().collect();
        let ids = tasks.iter().flat_map(|task| attempts(task).into_iter().map(|attempt| attempt.agent));
        let agents = ids.filter_map(|id| Some((id, farm.agents().get(&id)?.name.clone()))).collect();
        Some(Self { build, tasks, agents, steps: BTreeMap::new() })
    }
}

/// An attempt, whether or not it finished its task.
struct Attempt {
    id: AttemptId,
    agent: AgentId,
    epoch: Epoch,
    granted: Timestamp,
    ended: Timestamp,
    status: Status,
}

/// The spans of a build, the outermost first.
pub(super) fn of(story: &Story) -> Vec<Span> {
    let build = &story.build;
    let BuildPhase::Ended { at, result } = build.phase else { return Vec::new() };
    let parent = build.origin.trace_parent;
    let trace = parent.map_or_else(|| build.id.0.into_bytes(), |parent| parent.trace);
    let (word, status) = match result {
        BuildResult::Succeeded => ("succeeded", Status::Ok),
        BuildResult::Failed => ("failed", Status::Error("a task failed".to_owned())),
        BuildResult::Cancelled => ("cancelled", Status::Unset),
    };
    let mut all = Trace { trace, spans: Vec::new() };
    let attributes = vec![
        ("kiln.build", id(build.id.0)),
        ("kiln.project", Value::Text(build.origin.project.clone())),
        ("kiln.outcome", Value::Text(word.to_owned())),
        ("kiln.tasks", number(build.tasks.len() as u64)),
    ];
    let own = span_id(build.id.0, "build");
    let parent = parent.map(|parent| parent.span);
    all.add((own, parent), ("build".to_owned(), build.submitted.0, at.0), attributes, status);
    for task in &story.tasks {
        all.task(story, own, task);
    }
    all.spans
}

struct Trace {
    trace: [u8; 16],
    spans: Vec<Span>,
}

impl Trace {
    fn add(
        &mut self,
        (id, parent): ([u8; 8], Option<[u8; 8]>),
        (name, start_ms, end_ms): (String, u64, u64),
        attributes: Vec<(&'static str, Value)>,
        status: Status,
    ) {
        let end_ms = end_ms.max(start_ms);
        self.spans.push(Span { trace: self.trace, id, parent, name, start_ms, end_ms, attributes, status });
    }

    fn task(&mut self, story: &Story, build: [u8; 8], task: &Task) {
        let TaskPhase::Finished { at, outcome } = &task.phase else { return };
        let attempts = attempts(task);
        let (word, status) = ended(outcome);
        let mut attributes = vec![
            ("kiln.build", id(task.build.0)),
            ("kiln.task", id(task.id.0)),
            ("kiln.task.name", Value::Text(task.name.clone())),
            ("kiln.outcome", Value::Text(word.to_owned())),
            ("kiln.attempts", number(attempts.len() as u64)),
        ];
        attributes.extend(fault(outcome));
        let own = span_id(task.id.0, "task");
        let submitted = story.build.submitted.0;
        self.add((own, Some(build)), (task.name.clone(), submitted, at.0), attributes, status);
        let nothing = Seen::default();
        let seen = story.steps.get(&task.id).map(|steps| &steps.attempts[..]).unwrap_or_default();
        let mut waiting_since = submitted;
        for (index, attempt) in attempts.iter().enumerate() {
            self.wait(own, task, (waiting_since, attempt.granted.0));
            self.attempt(story, (own, task), (index + 1, attempt), seen.get(index).unwrap_or(&nothing));
            waiting_since = attempt.ended.0;
        }
        if task.finished_by.is_none() && waiting_since < at.0 {
            self.wait(own, task, (waiting_since, at.0));
        }
    }

    fn wait(&mut self, task_span: [u8; 8], task: &Task, (from, to): (u64, u64)) {
        let own = span_id(task.id.0, &format!("wait since {from}"));
        let attributes = vec![("kiln.task", id(task.id.0))];
        let what = ("wait for an agent".to_owned(), from, to);
        self.add((own, Some(task_span)), what, attributes, Status::Unset);
    }

    fn attempt(
        &mut self,
        story: &Story,
        (task_span, task): ([u8; 8], &Task),
        (count, attempt): (usize, &Attempt),
        seen: &Seen,
    ) {
        let own = span_id(attempt.id.0, &format!("attempt {}", attempt.epoch.0));
        let mut attributes = vec![
            ("kiln.build", id(task.build.0)),
            ("kiln.task", id(task.id.0)),
            ("kiln.attempt", id(attempt.id.0)),
            ("kiln.epoch", number(attempt.epoch.0)),
            ("kiln.agent", id(attempt.agent.0)),
        ];
        let name = story.agents.get(&attempt.agent);
        attributes.extend(name.map(|name| ("kiln.agent.name", Value::Text(name.clone()))));
        if seen.left_out > 0 {
            attributes.push(("kiln.steps.left_out", number(seen.left_out)));
        }
        let times = (attempt.granted.0, attempt.ended.0);
        let what = (format!("attempt {count}"), times.0, times.1);
        self.add((own, Some(task_span)), what, attributes, attempt.status.clone());
        self.steps((own, attempt), (task.id, times), seen);
    }

    fn steps(
        &mut self,
        (attempt_span, attempt): ([u8; 8], &Attempt),
        (task, (granted, ended)): (TaskId, (u64, u64)),
        seen: &Seen,
    ) {
        let clock = Clock::of(seen, granted, ended);
        let name = |index: usize| span_id(attempt.id.0, &format!("{} step {index}", attempt.epoch.0));
        for (index, step) in seen.steps.iter().enumerate() {
            let within = step.within.map_or(attempt_span, name);
            let broke_off = step.end_ms.is_none() && matches!(attempt.status, Status::Error(_));
            let status = if broke_off { attempt.status.clone() } else { Status::Unset };
            let (start, end) = (clock.ours(step.start_ms), step.end_ms.map_or(ended, |end| clock.ours(end)));
            let attributes = vec![("kiln.task", id(task.0)), ("kiln.attempt", id(attempt.id.0))];
            self.add((name(index), Some(within)), (step.name.clone(), start, end), attributes, status);
        }
    }
}

/// From a machine's clock to the coordinators'. A machine whose clock is wrong is told from one whose clock is right by its
/// first words, which can't come before it was given the attempt nor after the attempt's end.
struct Clock {
    shift: i64,
    granted: u64,
    ended: u64,
}

impl Clock {
    fn of(seen: &Seen, granted: u64, ended: u64) -> Self {
        let first = seen.first_ms.unwrap_or(granted);
        let shift =
            if (granted..=ended).contains(&first) { 0 } else { granted.cast_signed() - first.cast_signed() };
        Self { shift, granted, ended }
    }

    fn ours(&self, at_ms: u64) -> u64 {
        at_ms.saturating_add_signed(self.shift).clamp(self.granted, self.ended.max(self.granted))
    }
}

/// The attempts of a task, in order.
fn attempts(task: &Task) -> Vec<Attempt> {
    let last = task.finished_by.as_ref().zip(match &task.phase {
        TaskPhase::Finished { at, outcome } => Some((*at, outcome)),
        _ => None,
    });
    let last = last.map(|(Lease { attempt, agent, epoch, granted }, (at, outcome))| Attempt {
        id: *attempt,
        agent: *agent,
        epoch: *epoch,
        granted: *granted,
        ended: at,
        status: ended(outcome).1,
    });
    task.attempts.iter().map(earlier).chain(last).collect()
}

fn earlier(ended: &EndedAttempt) -> Attempt {
    let why = match &ended.how {
        AttemptEnd::LeaseExpired => "its agent was not heard of in time".to_owned(),
        AttemptEnd::Failed(failure) => fault_word(failure.fault).to_owned(),
    };
    Attempt {
        id: ended.attempt,
        agent: ended.agent,
        epoch: ended.epoch,
        granted: ended.granted,
        ended: ended.ended,
        status: Status::Error(why),
    }
}

fn ended(outcome: &TaskOutcome) -> (&'static str, Status) {
    match outcome {
        TaskOutcome::Succeeded { .. } => ("succeeded", Status::Ok),
        TaskOutcome::Failed { failure } => ("failed", Status::Error(fault_word(failure.fault).to_owned())),
        TaskOutcome::Cancelled => ("cancelled", Status::Unset),
    }
}

fn fault(outcome: &TaskOutcome) -> Option<(&'static str, Value)> {
    let TaskOutcome::Failed { failure } = outcome else { return None };
    Some(("kiln.fault", Value::Text(fault_word(failure.fault).to_owned())))
}

const fn fault_word(fault: Fault) -> &'static str {
    match fault {
        Fault::Template => "template",
        Fault::Guest => "guest",
        Fault::Machine => "machine",
        Fault::Farm => "farm",
    }
}

fn id(id: Uuid) -> Value {
    Value::Text(id.to_string())
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The identifier of a span about `of`: the same whoever asks, and whenever.
fn span_id(of: Uuid, what: &str) -> [u8; 8] {
    let mut digest = blake3::Hasher::new();
    digest.update(of.as_bytes()).update(what.as_bytes());
    let mut id = [0; 8];
    digest.finalize_xof().fill(&mut id);
    id
}
