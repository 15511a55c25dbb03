//! The events of one task.
//!
//! ```text
//!   places:   0 … first-1            first … next-1             next
//!             dropped, at rest or    kept, in order, no gaps    the only one that may be appended
//!             lost
//!                        0 … durable-1            at rest: whoever sent them may forget them
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use kiln_plan::event::EventKind;
use kiln_plan::id::Epoch;
use kiln_proto::event::Record;
use tokio::time::Instant;

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
    durable: u64,
    /// Whether the last event is at rest.
    ended_at_rest: bool,
    /// Whether it is known what is at rest of it.
    known: bool,
    /// When the oldest event came that is not at rest, and the latest of all.
    waiting_since: Option<Instant>,
    touched: Instant,
}

/// Events that are to be put to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unrested {
    /// In order.
    pub(super) records: Vec<Record>,
    /// Whether the last of them is the task's last.
    pub(super) last: bool,
}

/// The most bytes that are put to rest at once.
const AT_ONCE: usize = 4 << 20;

/// Bytes that are put to rest without waiting for more.
const WORTHWHILE: usize = 128 << 10;

/// How long events may wait for company.
const PATIENCE: Duration = Duration::from_secs(5);

impl TaskLog {
    pub(super) fn new() -> Self {
        Self {
            gate: Gate::Open(Epoch(0)),
            first: 0,
            records: VecDeque::new(),
            bytes: 0,
            durable: 0,
            ended_at_rest: false,
            known: true,
            waiting_since: None,
            touched: Instant::now(),
        }
    }

    /// A log of which everything before `durable` is at rest; all of it when it has `ended`.
    pub(super) fn resumed(epoch: Epoch, durable: u64, ended: bool) -> Self {
        let gate = if ended { Gate::Sealed } else { Gate::Resumed(epoch) };
        Self { gate, first: durable, durable, ended_at_rest: ended, ..Self::new() }
    }

    /// A log of which it isn't known what is at rest.
    pub(super) fn unknown(epoch: Epoch) -> Self {
        Self { known: false, ..Self::resumed(epoch, 0, false) }
    }

    /// What is at rest was looked up.
    pub(super) fn become_known(&mut self, durable: u64, ended: bool) {
        let (Gate::Open(epoch) | Gate::Resumed(epoch)) = self.gate else { return };
        if !self.known {
            *self = Self::resumed(epoch, durable, ended);
        }
    }

    /// Whether it is known what is at rest.
    pub(super) const fn is_known(&self) -> bool {
        self.known
    }

    /// The first event that is not at rest.
    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// The first event that is kept here.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Whether its attempt was heard of since the log was resumed, or nothing was for so long.
    pub(super) fn is_quiet(&self, quiet: Duration) -> bool {
        !matches!(self.gate, Gate::Resumed(_)) || self.touched.elapsed() >= quiet
    }

    /// Events that should be put to rest now.
    pub(super) fn unrested(&self) -> Option<Unrested> {
        let sealed = self.is_sealed() && !self.ended_at_rest;
        let old = self.waiting_since.is_some_and(|since| since.elapsed() >= PATIENCE);
        let skip = usize::try_from(self.durable.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let waiting: usize = self.records.iter().skip(skip).map(Record::size).sum();
        if waiting == 0 || !(sealed || old || waiting >= WORTHWHILE) {
            return None;
        }
        let mut room = AT_ONCE;
        let fits = |record: &&Record| {
            let fits = room > 0;
            room = room.saturating_sub(record.size());
            fits
        };
        let records: Vec<Record> = self.records.iter().skip(skip).take_while(fits).cloned().collect();
        let last =
            self.is_sealed() && records.last().is_some_and(|record| record.sequence + 1 == self.next());
        Some(Unrested { records, last })
    }

    /// Everything before `next` is at rest, and all of it if that was the `last`.
    pub(super) fn rest(&mut self, next: u64, last: bool) {
        self.durable = self.durable.max(next);
        self.ended_at_rest |= last;
        self.waiting_since = (self.durable < self.next()).then(Instant::now);
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes kept that could be dropped, since they are at rest.
    pub(super) fn at_rest_bytes(&self) -> usize {
        if self.durable > self.first { self.bytes } else { 0 }
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
                let Some(begins) = records.first().map(|record| record.sequence) else { return true };
                // What lies between was lost with the leader that had taken it.
                self.first = self.first.max(begins);
                self.gate = Gate::Open(epoch);
            }
            Gate::Open(_) | Gate::Resumed(_) | Gate::Sealed => return false,
        }
        for record in records {
            if record.sequence == self.next() {
                self.keep(record);
            }
        }
        true
    }

    /// Adds an event of the coordinator's own.
    pub(super) fn push(&mut self, at_ms: u64, kind: &EventKind) {
        let record = Record::new(self.next(), at_ms, kind);
        self.keep(record);
    }

    fn keep(&mut self, record: Record) {
        self.bytes += record.size();
        self.records.push_back(record);
        self.touched = Instant::now();
        self.waiting_since = self.waiting_since.or(Some(self.touched));
    }

    /// Adds the last event, once.
    pub(super) fn seal(&mut self, at_ms: u64, last: &EventKind) {
        if !self.is_sealed() {
            self.push(at_ms, last);
            self.gate = Gate::Sealed;
        }
    }

    /// Drops the older half of the events, as far as they are at rest, and returns how many bytes that frees.
    pub(super) fn halve(&mut self) -> usize {
        let rested = usize::try_from(self.durable.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let gone = self.records.len().div_ceil(2).min(rested);
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
