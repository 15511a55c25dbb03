//! Whose doing a failure is, which decides about retry: Machine and Farm elsewhere, Template and Guest not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose doing a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The template asks for something wrong; the same again would fail the same way.
    Template,
    /// The guest failed: a script exited non-zero, SSH never came, it powered off.
    Guest,
    /// The machine failed: no QEMU, no disk space, no free port.
    Machine,
    /// The farm failed: lost lease, lost coordinator, store out of reach.
    Farm,
}

impl Fault {
    /// Whether another machine may succeed where this one failed.
    pub const fn may_retry_elsewhere(self) -> bool {
        matches!(self, Fault::Machine | Fault::Farm)
    }
}

/// How a task failed, as people read it and as the scheduler needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose doing.
    pub fault: Fault,
    /// One lower-case sentence without full stop: the operation, the value, the reason.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Further evidence, one line each: a screenshot's path, the last serial lines.
    pub evidence: Vec<String>,
    /// Whether it is no failure of its own but the consequence of a cancellation.
    pub cancelled: bool,
}

impl Failure {
    /// A failure without hint or evidence.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: None, evidence: Vec::new(), cancelled: false }
    }

    /// A failure told by an error and its chain of causes.
    pub fn from_error(fault: Fault, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(fault, chain(error))
    }

    /// The end of something that was cancelled.
    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::new(Fault::Template, "cancelled") }
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a line of evidence.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An error's text and its causes', joined with `: `.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
