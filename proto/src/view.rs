//! What people and their tools see of a farm: the same words on the wire, in the JSON API and in tables.
//!
//! Fields are only ever added. Times are milliseconds since the Unix epoch, by the leader's clock.

use std::collections::BTreeMap;

use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, AttemptId, BuildId, TaskId};
use serde::{Deserialize, Serialize};

/// How the farm does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The version of the coordinator that answers.
    pub version: String,
    /// The coordinators.
    pub members: Vec<Member>,
    /// How many agents are in which state, as `ready`.
    pub agents: BTreeMap<String, u64>,
    /// Slots of agents that take tasks, and how many of them are free.
    pub slots: Slots,
    /// How many tasks are in which state, as `queued`.
    pub tasks: BTreeMap<String, u64>,
    /// How many builds are under way.
    pub running_builds: u64,
}

/// Places for tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// All.
    pub all: u64,
    /// Those without a task.
    pub free: u64,
}

/// A coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Where others reach it.
    pub address: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
    /// Entries of the ledger that it lacks, as far as the leader knows.
    pub lag: Option<u64>,
}

/// A build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its identifier.
    pub id: BuildId,
    /// Whose it is.
    pub project: String,
    /// When it was submitted.
    pub submitted_ms: u64,
    /// When it ended, if it has.
    pub ended_ms: Option<u64>,
    /// `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Its tasks, in the order of the template.
    pub tasks: Vec<Task>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its identifier.
    pub id: TaskId,
    /// Its name, as in `qemu.web`.
    pub name: String,
    /// `queued`, `leased`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Since when it is queued or leased, or when it ended.
    pub since_ms: u64,
    /// Who works on it.
    pub agent: Option<AgentName>,
    /// Attempts that ended without finishing it, oldest first.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub outcome: Option<TaskOutcome>,
}

/// An agent by both its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentName {
    /// Its identifier.
    pub id: AgentId,
    /// The name shown to people.
    pub name: String,
}

/// An attempt that ended without finishing its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its identifier.
    pub id: AttemptId,
    /// Who made it.
    pub agent: AgentName,
    /// When it ended.
    pub ended_ms: u64,
    /// What happened, in words.
    pub ended_by: String,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its identifier.
    pub id: AgentId,
    /// The name shown to people.
    pub name: String,
    /// `ready`, `draining`, `lost` or `gone`.
    pub state: String,
    /// When it was last heard of.
    pub last_heard_ms: u64,
    /// Its places for tasks.
    pub slots: Slots,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Logical processors that it shares out; 0 when it leaves that to its users.
    pub cpus: u32,
    /// MiB of memory that it shares out; 0 when it leaves that to its users.
    pub memory_mib: u64,
    /// The tasks that it has.
    pub holds: Vec<TaskId>,
}

/// Why a task waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which task.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// Each reason in words with its numbers, weightiest first.
    pub reasons: Vec<String>,
}
