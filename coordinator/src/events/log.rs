//! The events of one task.
//!
//! ```text
//!   places:   0 … first-1        first … next-1             next
//!             dropped or lost    kept, in order, no gaps    the only one that may be appended
//! ```

use std::collections::VecDeque;

use kiln_plan::event::EventKind;
use kiln_plan::id::Epoch;
use kiln_proto::event::Record;

/// Who may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// The attempt with this fencing number.
    Open(Epoch),
    /// The same; its first event decides where the log begins, because what came before was lost.
    Resumed(Epoch),
    /// Nobody any more.
    Sealed,
}

/// One log.
#[derive(Debug)]
pub(super) struct TaskLog {
    gate: Gate,
    first: u64,
    records: VecDeque<Record>,
    bytes: usize,
}

impl TaskLog {
    pub(super) const fn new() -> Self {
        Self { gate: Gate::Open(Epoch(0)), first: 0, records: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn resumed(epoch: Epoch) -> Self {
        Self { gate: Gate::Resumed(epoch), ..Self::new() }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.gate == Gate::Sealed
    }

    /// The place of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Lets a new attempt append, and no other. `false` when it is not new.
    pub(super) fn begin(&mut self, epoch: Epoch) -> bool {
        match self.gate {
            Gate::Open(current) | Gate::Resumed(current) if current < epoch => {
                self.gate = Gate::Open(epoch);
                true
            }
            Gate::Open(_) | Gate::Resumed(_) | Gate::Sealed => false,
        }
    }

    /// Takes what continues the log; `false` when the attempt may not append.
    pub(super) fn append(&mut self, epoch: Epoch, records: Vec<Record>) -> bool {
        match self.gate {
            Gate::Open(current) if current == epoch => {}
            Gate::Resumed(current) if current == epoch => {
                self.first = records.first().map_or(0, |record| record.sequence);
                self.gate = Gate::Open(epoch);
            }
            Gate::Open(_) | Gate::Resumed(_) | Gate::Sealed => return false,
        }
        for record in records {
            if record.sequence == self.next() {
                self.bytes += record.size();
                self.records.push_back(record);
            }
        }
        true
    }

    /// Adds an event of the coordinator's own.
    pub(super) fn push(&mut self, at_ms: u64, kind: &EventKind) {
        let record = Record::new(self.next(), at_ms, kind);
        self.bytes += record.size();
        self.records.push_back(record);
    }

    /// Adds the last event, once.
    pub(super) fn seal(&mut self, at_ms: u64, last: &EventKind) {
        if !self.is_sealed() {
            self.push(at_ms, last);
            self.gate = Gate::Sealed;
        }
    }

    /// Drops the older half of the events, and returns how many bytes that frees.
    pub(super) fn halve(&mut self) -> usize {
        let gone = self.records.len().div_ceil(2);
        let freed = self.records.drain(..gone).map(|record| record.size()).sum();
        self.first += gone as u64;
        self.bytes -= freed;
        freed
    }

    /// The events from `place` on that fit into `room`, of which they take their bytes; one fits always unless
    /// the room is used up. Events that were dropped are replaced by a word about it.
    pub(super) fn after(&self, place: u64, room: &mut usize) -> Vec<Record> {
        let lost = self.first.saturating_sub(place);
        let note = (lost > 0).then(|| {
            let text = format!("{lost} earlier events of this task are no longer kept");
            let at_ms = self.records.front().map_or(0, |record| record.at_ms);
            Record::new(self.first - 1, at_ms, &EventKind::Error { speaker: None, text })
        });
        let skip = usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let kept = self.records.iter().skip(skip).cloned();
        let fits = |record: &Record| {
            let fits = *room > 0;
            *room = room.saturating_sub(record.size());
            fits
        };
        note.into_iter().chain(kept).take_while(fits).collect()
    }
}
