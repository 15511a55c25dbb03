//! The events of one attempt, as its agent tells them.
//!
//! ```text
//!   places:   first(epoch) …           kept …             next              said
//!             at rest, or lost         here, no gaps      may be appended   the end, once the ledger knows it
//!                        … durable     at rest: whoever sent them may forget them
//!
//!   Open ────────────────► Closed      Open: begun under this leader, which therefore knows how far it is
//!     ▲  the first batch      ▲        Awaited: begun under another; its agent knows
//!   Awaited ──────────────────┘        Closed: it is over, and either all of it is here, or the wait for the rest was in vain
//! ```
//!
//! Only a closed attempt is left behind by readers, so none of them misses what an agent still has to tell to a new leader.

use std::collections::VecDeque;
use std::time::Duration;

use kiln_plan::event::EventKind;
use kiln_plan::id::Epoch;
use kiln_proto::event::{Record, place};
use tokio::time::Instant;

use super::story::Chapter;

/// How long the agent of an attempt that is over has to tell the rest of it, when that is missing.
pub(super) const RETURN: Duration = Duration::from_secs(60);

/// The most bytes that are put to rest at once.
const AT_ONCE: usize = 4 << 20;

/// Bytes that are put to rest without waiting for more.
const WORTHWHILE: usize = 128 << 10;

/// How long events may wait for company.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Its agent, what comes next.
    Open,
    /// Its agent, from where it is; what lies before and isn't at rest was lost.
    Awaited,
    /// Nobody any more.
    Closed,
}

/// One attempt's events.
#[derive(Debug)]
pub(super) struct AttemptLog {
    pub(super) epoch: Epoch,
    gate: Gate,
    at_ms: u64,
    why: Option<Record>,
    said: Option<u64>,
    /// Since when it is known to be over, and that what is missing is awaited.
    over: Option<Instant>,
    first: u64,
    records: VecDeque<Record>,
    bytes: usize,
    durable: u64,
    /// When the oldest event came that is not at rest.
    waiting_since: Option<Instant>,
}

/// How a reader goes on in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With what follows the attempt.
    Beyond,
    /// Later: there is no more room, or no more yet.
    Later,
}

impl AttemptLog {
    pub(super) const fn new(epoch: Epoch, gate: Gate) -> Self {
        let first = place::first(epoch);
        Self {
            epoch,
            gate,
            at_ms: 0,
            why: None,
            said: None,
            over: None,
            first,
            records: VecDeque::new(),
            bytes: 0,
            durable: first,
            waiting_since: None,
        }
    }

    /// Notes what the ledger says.
    pub(super) fn hear(&mut self, chapter: Chapter) {
        self.at_ms = chapter.at_ms;
        self.why = chapter.why.or(self.why.take());
        self.said = chapter.said.or(self.said);
        if chapter.is_over && self.over.is_none() {
            self.over = Some(Instant::now());
        }
    }

    /// Notes what is at rest: everything before `durable`. The wait for the rest begins anew.
    pub(super) fn found(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
        if self.records.is_empty() {
            self.first = self.first.max(durable);
        }
        self.over = self.over.map(|_| Instant::now());
    }

    /// Closes it if there is nothing to wait for. Whether that changed anything.
    pub(super) fn settle(&mut self) -> bool {
        let Some(over) = self.over.filter(|_| self.gate != Gate::Closed) else { return false };
        let is_missing = self.said.is_some_and(|said| self.next() < said);
        if is_missing && over.elapsed() < RETURN {
            return false;
        }
        self.gate = Gate::Closed;
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.gate == Gate::Closed
    }

    /// Where it goes on, as far as that is known here.
    pub(super) fn goes_on(&self) -> Option<u64> {
        (self.gate != Gate::Awaited).then(|| self.next())
    }

    /// The first place that is not taken.
    pub(super) fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes kept that could be dropped, since they are at rest.
    pub(super) const fn at_rest_bytes(&self) -> usize {
        if self.durable > self.first { self.bytes } else { 0 }
    }

    /// Takes what continues it; `false` when nothing of it will be taken any more.
    pub(super) fn append(&mut self, records: Vec<Record>) -> bool {
        if self.gate == Gate::Closed {
            // What is here already may be told again.
            return self.said.is_some_and(|said| self.next() >= said);
        }
        if records.iter().any(|record| !place::is_told_by_agent(record.sequence, self.epoch)) {
            return false;
        }
        if let Some(begins) = records.first().map(|record| record.sequence)
            && self.gate == Gate::Awaited
        {
            self.first = self.first.max(begins);
            self.gate = Gate::Open;
        }
        let end = self.said.unwrap_or(u64::MAX);
        for record in records {
            if record.sequence == self.next() && record.sequence < end {
                self.bytes += record.size();
                self.records.push_back(record);
                self.waiting_since = self.waiting_since.or_else(|| Some(Instant::now()));
            }
        }
        true
    }

    /// Consecutive events that should be put to rest now.
    pub(super) fn unrested(&self) -> Option<Vec<Record>> {
        let old = self.waiting_since.is_some_and(|since| since.elapsed() >= PATIENCE);
        let waiting = || self.records.iter().skip(self.index(self.durable));
        let bytes: usize = waiting().map(Record::size).sum();
        if bytes == 0 || !(self.over.is_some() || old || bytes >= WORTHWHILE) {
            return None;
        }
        let mut room = AT_ONCE;
        Some(waiting().take_while(|record| fits(&mut room, record)).cloned().collect())
    }

    /// Everything before `next` is at rest.
    pub(super) fn rest(&mut self, next: u64) {
        self.durable = self.durable.max(next);
        self.waiting_since = (self.durable < self.next()).then(Instant::now);
    }

    /// Drops the older half of the events, as far as they are at rest, and returns how many bytes that frees.
    pub(super) fn halve(&mut self) -> usize {
        let rested = self.index(self.durable);
        let gone = self.records.len().div_ceil(2).min(rested);
        let freed = self.records.drain(..gone).map(|record| record.size()).sum();
        self.first += gone as u64;
        self.bytes -= freed;
        freed
    }

    /// Where the event at `place` lies among those that are kept.
    fn index(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX)
    }

    /// What a reader wants next and is not kept here, if nothing comes before.
    pub(super) fn missing(&self, place: u64) -> Option<Missing> {
        let (from, to) = (place.max(place::first(self.epoch)), self.first);
        let is_told_why = place > place::why(self.epoch) || self.why.is_none();
        (is_told_why && from < to).then_some(Missing { from, to, at_ms: self.at_ms })
    }

    /// Whether a reader at `place` has nothing more to hear of it, for ever.
    pub(super) fn is_behind(&self, place: u64) -> bool {
        let said = self.said.unwrap_or(0).max(self.next());
        self.is_closed() && place >= said.max(place::first(self.epoch))
    }

    /// Tells a reader what lies at its place and after, at most `room` bytes, and moves the place past it. What is not kept
    /// here is told to be gone, unless it is at rest.
    pub(super) fn tell(
        &self,
        reader: &mut u64,
        (room, at_rest): (&mut usize, bool),
        told: &mut Vec<Record>,
    ) -> Next {
        if *reader <= place::why(self.epoch) {
            told.extend(self.why.clone());
        }
        *reader = (*reader).max(place::first(self.epoch));
        if let Some(missing) = self.missing(*reader) {
            if at_rest {
                return Next::Later;
            }
            told.push(missing.gone());
            *reader = missing.to;
        }
        for record in self.records.iter().skip(self.index(*reader)) {
            if !fits(room, record) {
                return Next::Later;
            }
            *reader = record.sequence + 1;
            told.push(record.clone());
        }
        if !self.is_closed() {
            return Next::Later;
        }
        if let Some(said) = self.said.filter(|said| *reader < *said) {
            let lost = match said - *reader {
                1 => "event of this attempt was".to_owned(),
                count => format!("{count} events of this attempt were"),
            };
            let text = format!("the last {lost} lost with its agent");
            told.push(Record::new(said - 1, self.at_ms, &EventKind::Error { speaker: None, text }));
            *reader = said;
        }
        Next::Beyond
    }
}

/// Takes the room that a record needs; one fits always unless the room is used up.
fn fits(room: &mut usize, record: &Record) -> bool {
    let fits = *room > 0;
    *room = room.saturating_sub(record.size());
    fits
}

/// Places of events that are not kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The first.
    pub(super) from: u64,
    /// The first that is, or would be.
    pub(super) to: u64,
    /// A time to tell with them, in milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
}

impl Missing {
    /// What is told instead, at the last of these places.
    pub(super) fn gone(self) -> Record {
        let text = format!("{} earlier events of this task are no longer kept", self.to - self.from);
        Record::new(self.to - 1, self.at_ms, &EventKind::Error { speaker: None, text })
    }
}
