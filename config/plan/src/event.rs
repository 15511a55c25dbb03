//! What happened, for readers: the lines, steps and bars that a task sends while it runs.
//!
//! Events are ordered per task and never enter the ledger. Text in them is already redacted.

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRecord;
use crate::fault::Failure;
use crate::id::TaskId;

/// One thing that happened in a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The task.
    pub task: TaskId,
    /// Its place among the task's events, from 0 without gaps.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch, by the machine's clock.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Words for people. May hold several lines.
    Say {
        /// Whose words when not the build's own: a post-processor's type.
        speaker: Option<String>,
        /// The words.
        text: String,
    },
    /// Words about something that went wrong, or what a guest wrote to standard error.
    Error {
        /// As for `Say`.
        speaker: Option<String>,
        /// The words.
        text: String,
    },
    /// A step began.
    StepStarted {
        /// What it does, as in `connect over SSH`.
        step: String,
    },
    /// A step ended.
    StepFinished {
        /// The name it began with.
        step: String,
        /// How long it took.
        took_ms: u64,
    },
    /// How far a transfer or conversion has come. May be dropped by a slow reader.
    Progress {
        /// What is moving, unique among the bars of the task that are open.
        label: String,
        /// Units done.
        done: u64,
        /// Units in all, when known.
        total: Option<u64>,
        /// What is counted.
        unit: ProgressUnit,
    },
    /// The component waits for a person's answer; see the task's question channel.
    Question {
        /// Unique in the task.
        id: u64,
        /// The question.
        text: String,
    },
    /// The task ended.
    Finished {
        /// How.
        outcome: TaskOutcome,
    },
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressUnit {
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskOutcome {
    /// With these artifacts, in order.
    Succeeded {
        /// What it made; possibly nothing.
        artifacts: Vec<ArtifactRecord>,
    },
    /// With this failure.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It was cancelled and cleaned up.
    Cancelled,
}
