//! Events as they are stored and handed on: with their place and time in the open, and a closed body.
//!
//! A coordinator that hands events from a newer agent to a newer client does not look into the body, so
//! kinds that it has never heard of survive.

use kiln_plan::event::{Event, EventKind};
use kiln_plan::id::TaskId;
use prost::bytes::Bytes;

use crate::convert::ConvertError;

/// One event of a task, closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place among the events of the task, from 0.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch, by the machine's clock.
    pub at_ms: u64,
    /// What, encoded.
    pub body: Bytes,
}

/// What a record takes besides its body, in bytes: an estimate for bounding memory.
pub const RECORD_OVERHEAD: usize = 64;

impl Record {
    /// Closes an event.
    pub fn new(sequence: u64, at_ms: u64, kind: &EventKind) -> Self {
        Self { sequence, at_ms, body: crate::convert::event::encode(kind) }
    }

    /// Opens it; `None` when its kind is one of the future.
    ///
    /// # Errors
    /// When the body is damaged.
    pub fn open(&self, task: TaskId) -> Result<Option<Event>, ConvertError> {
        let kind = crate::convert::event::decode(&self.body)?;
        Ok(kind.map(|kind| Event { task, sequence: self.sequence, at_ms: self.at_ms, kind }))
    }

    /// How much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + RECORD_OVERHEAD
    }
}

/// Consecutive events of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecords {
    /// The task.
    pub task: TaskId,
    /// Its events, in order.
    pub records: Vec<Record>,
}
