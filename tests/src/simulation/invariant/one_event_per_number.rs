//! A number names one event of a task for ever, whichever leader takes it: else a reader that was told the first would never be
//! told the second. (Readers themselves, and events at rest, are beyond this simulation: what they are promised is tried with the
//! genuine logs in `coordinator/src/events/tests/readers.rs`.)

use std::collections::BTreeMap;

use kiln_plan::id::TaskId;
use kiln_proto::event::Record;

/// What each number named.
#[derive(Debug, Default)]
pub struct Law {
    named: BTreeMap<(TaskId, u64), Record>,
    broken: Option<String>,
}

impl Law {
    /// A leader has taken an event.
    pub fn hear(&mut self, task: TaskId, record: Record) {
        let known = self.named.entry((task, record.sequence)).or_insert_with(|| record.clone());
        if *known != record {
            self.broken = Some(format!("{:#x} of task {task} names two events", record.sequence));
        }
    }

    /// Checks everything that was heard so far.
    ///
    /// # Errors
    /// Which number named two events.
    pub fn check(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}
