//! What agent and coordinator say to each other. Each message is a whole state; see `agent_link.proto` for how
//! a task's life looks in them.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use kiln_plan::{DataAnswer, DataQuery};

pub use crate::catalog::SharedCatalog;
use prost::bytes::Bytes;

use crate::event::Record;

/// Which try of which task, under which fencing number: what every report carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptKey {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The fencing number.
    pub epoch: Epoch,
}

/// What an agent is and does now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurrentState {
    /// Who it is and what it offers; in the first message of a stream, and only there.
    pub hello: Option<Hello>,
    /// Every attempt it has.
    pub held: Vec<HeldAttempt>,
    /// Whether it wants no new tasks.
    pub draining: bool,
    /// Whether it has nothing and says goodbye.
    pub leaving: bool,
}

/// Who an agent is and what it offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Its identifier.
    pub agent: AgentId,
    /// The name shown to people.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Logical processors to share out among guests; 0 when it leaves that to its users.
    pub cpus: u32,
    /// MiB of memory to share out among guests; 0 when it leaves that to its users.
    pub memory_mib: u64,
    /// Its components.
    pub catalog: SharedCatalog,
    /// The machine's architecture, as `x86_64`; empty when it leaves that to its users.
    pub arch: String,
    /// What runs guest code on the machine's own processor, as QEMU calls it: `kvm`, `hvf`.
    pub accelerators: BTreeSet<String>,
    /// MiB of scratch space to share out among guests; 0 when it leaves that to its users.
    pub disk_mib: u64,
    /// Programs found, each with its version, or with nothing when it doesn't tell one.
    pub tools: BTreeMap<String, String>,
}

/// An attempt that an agent has.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldAttempt {
    /// Which.
    pub key: AttemptKey,
    /// How far it is.
    pub phase: AttemptPhase,
    /// Milliseconds since it last got anywhere: a line, a step, a byte, a change of the screen. `None` when the
    /// agent can't tell.
    pub idle_ms: Option<u64>,
    /// With an end: the place after the attempt's last event. `None` when the agent can't tell.
    pub said: Option<u64>,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptPhase {
    /// The agent has it and has not begun.
    Accepted,
    /// The agent works on it.
    Running,
    /// It ended; all its events have been taken, by this coordinator or one before.
    Ended(TaskOutcome),
}

/// What an agent should be and do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredState {
    /// Every attempt it should have.
    pub hold: Vec<WantedAttempt>,
    /// Those among them that it doesn't have yet. Further ones may follow in the next message.
    pub begin: Vec<Assignment>,
    /// It speaks again before this many milliseconds have passed.
    pub speak_within_ms: u32,
    /// Whether an operator wants it to finish what it has and take nothing new. It stays connected.
    pub drain: bool,
    /// When the stream breaks, it comes again after a chance part of so many milliseconds: not all agents of a large farm
    /// at the same moment.
    pub return_within_ms: u32,
}

/// An attempt that an agent should have.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedAttempt {
    /// Which.
    pub key: AttemptKey,
    /// Milliseconds until the lease ends unless renewed.
    pub remaining_ms: u64,
    /// Whether it should stop, undo and report.
    pub cancel: bool,
    /// Every answer given to its questions.
    pub answers: Vec<Answer>,
}

/// A person's answer to a question of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question's number, unique in the task.
    pub question: u64,
    /// The answer, without line ending.
    pub text: String,
}

/// A task for an agent, with all it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The build it belongs to.
    pub build: BuildId,
    /// Which attempt.
    pub key: AttemptKey,
    /// The place of the attempt's first event, see [`crate::event::place`].
    pub first_sequence: u64,
    /// JSON of [`kiln_plan::BuildPlan`], which names its format.
    pub plan: Bytes,
}

/// Consecutive events of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEvents {
    /// The task.
    pub task: TaskId,
    /// The fencing number of the attempt.
    pub epoch: Epoch,
    /// In order, without gaps.
    pub records: Vec<Record>,
}

/// How far the events of an attempt have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptReceipt {
    /// The task.
    pub task: TaskId,
    /// The fencing number of the attempt.
    pub epoch: Epoch,
    /// The first event that has not been taken. Those before it need not be sent again on this stream.
    pub next_sequence: u64,
    /// The first event that would be lost with the coordinator. The agent forgets those before it, and only those.
    pub durable_sequence: u64,
    /// Whether the fencing number is stale: nothing of the attempt will be taken any more.
    pub refused: bool,
}

/// What a coordinator wants to know of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct DataQuestion {
    /// Unique on its stream.
    pub number: u64,
    /// What; `None` when the question with this number needs no answer any more.
    pub query: Option<DataQuery>,
}

/// What an agent says on the stream of questions.
#[derive(Clone, Debug, PartialEq)]
pub enum DataReply {
    /// Who it is: its first message.
    Seated(AgentId),
    /// The answer to a question.
    Answered {
        /// Its number.
        number: u64,
        /// What came of it.
        answer: DataAnswer,
    },
}
