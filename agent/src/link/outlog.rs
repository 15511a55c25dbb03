//! The events of one attempt that the coordinator has not taken yet.
//!
//! ```text
//!   records:   sent, not taken │ to be sent
//!              ◄── sent ──────►│
//! ```
//!
//! A new connection sends all of it again; the coordinator passes over what it has.

use std::collections::VecDeque;

use kiln_plan::event::EventKind;
use kiln_proto::event::Record;

/// Events on their way out.
#[derive(Debug)]
pub(super) struct Outlog {
    next: u64,
    records: VecDeque<Record>,
    sent: usize,
    bytes: usize,
    /// The label of the last record, when that is a bar's progress.
    bar: Option<String>,
    /// Events that found no room since the last that did.
    dropped: u64,
    /// Nothing of it will be taken any more.
    refused: bool,
}

impl Outlog {
    /// An empty log whose first event has this place.
    pub(super) const fn new(first: u64) -> Self {
        let records = VecDeque::new();
        Self { next: first, records, sent: 0, bytes: 0, bar: None, dropped: 0, refused: false }
    }

    /// Bytes kept.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything has been taken, or nothing more will be.
    pub(super) fn is_flushed(&self) -> bool {
        self.refused || self.records.is_empty()
    }

    /// Adds an event if there is `room`. Progress replaces the progress of the same bar that still waits, and
    /// needs ample room; what finds none is counted and told of later.
    pub(super) fn push(&mut self, at_ms: u64, kind: &EventKind, room: Room) {
        if self.refused {
            return;
        }
        let bar = match kind {
            EventKind::Progress { label, .. } => Some(label),
            _ => None,
        };
        if bar.is_some() && self.bar.as_ref() == bar && self.sent < self.records.len() {
            self.take_back();
        }
        match (room, bar) {
            (Room::None, None) => self.dropped += 1,
            (Room::None | Room::Scarce, Some(_)) => {}
            (Room::Ample, _) | (Room::Scarce, None) => {
                self.tell_of_dropped(at_ms);
                self.add(at_ms, kind);
                self.bar = bar.cloned();
            }
        }
    }

    fn tell_of_dropped(&mut self, at_ms: u64) {
        if self.dropped > 0 {
            let text = format!("{} events were dropped while the coordinator was out of reach", self.dropped);
            self.dropped = 0;
            self.add(at_ms, &EventKind::Error { speaker: None, text });
        }
    }

    fn add(&mut self, at_ms: u64, kind: &EventKind) {
        let record = Record::new(self.next, at_ms, kind);
        self.next += 1;
        self.bytes += record.size();
        self.records.push_back(record);
    }

    fn take_back(&mut self) {
        if let Some(record) = self.records.pop_back() {
            self.next -= 1;
            self.bytes -= record.size();
        }
    }

    /// What is to be sent, at most `room` bytes of it; one event fits always unless the room is used up.
    pub(super) fn send(&mut self, room: &mut usize) -> Vec<Record> {
        if self.refused {
            return Vec::new();
        }
        let fits = |record: &&Record| {
            let fits = *room > 0;
            *room = room.saturating_sub(record.size());
            fits
        };
        let batch: Vec<Record> = self.records.iter().skip(self.sent).take_while(fits).cloned().collect();
        self.sent += batch.len();
        batch
    }

    /// Forgets what has been taken: everything before `next`.
    pub(super) fn taken(&mut self, next: u64) {
        while self.records.front().is_some_and(|record| record.sequence < next) {
            let size = self.records.pop_front().map_or(0, |record| record.size());
            self.bytes -= size;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// Forgets everything, and takes nothing more.
    pub(super) fn refuse(&mut self) {
        let next = self.next;
        *self = Self { refused: true, ..Self::new(next) };
    }

    /// Sends again what has not been taken.
    pub(super) const fn rewind(&mut self) {
        self.sent = 0;
    }
}

/// How much room there is for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// For all.
    Ample,
    /// For those that matter.
    Scarce,
    /// For none.
    None,
}

#[cfg(test)]
mod tests {
    use kiln_plan::event::ProgressUnit;
    use kiln_plan::id::TaskId;

    use super::*;

    fn say(text: &str) -> EventKind {
        EventKind::Say { speaker: None, text: text.into() }
    }

    fn bar(label: &str, done: u64) -> EventKind {
        EventKind::Progress { label: label.into(), done, total: None, unit: ProgressUnit::Bytes }
    }

    /// `5:a 6:iso=3`
    fn told(records: &[Record]) -> String {
        let task = TaskId::new(uuid::Uuid::nil());
        let words = records.iter().map(|record| match record.open(task).unwrap().unwrap().kind {
            EventKind::Say { text, .. } | EventKind::Error { text, .. } => {
                format!("{}:{text}", record.sequence)
            }
            EventKind::Progress { label, done, .. } => format!("{}:{label}={done}", record.sequence),
            other => format!("{other:?}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn push_all(log: &mut Outlog, kinds: impl IntoIterator<Item = EventKind>, room: Room) {
        kinds.into_iter().for_each(|kind| log.push(0, &kind, room));
    }

    fn send(log: &mut Outlog) -> String {
        told(&log.send(&mut usize::MAX.clone()))
    }

    #[test]
    fn what_was_taken_is_forgotten_and_the_rest_sent_again_after_a_break() {
        let mut log = Outlog::new(5);
        push_all(&mut log, ["a", "b", "c"].map(say), Room::Ample);
        assert_eq!(send(&mut log), "5:a 6:b 7:c");
        assert_eq!(send(&mut log), "");
        log.taken(6);
        log.push(0, &say("d"), Room::Ample);
        assert_eq!(send(&mut log), "8:d");
        log.rewind();
        assert_eq!(send(&mut log), "6:b 7:c 8:d");
        log.taken(9);
        assert!(log.is_flushed() && log.bytes() == 0);
    }

    #[test]
    fn batches_are_bounded() {
        let mut log = Outlog::new(0);
        push_all(&mut log, ["a", "b", "c"].map(say), Room::Ample);
        assert_eq!(told(&log.send(&mut 80)), "0:a 1:b");
        assert_eq!(told(&log.send(&mut 80)), "2:c");
    }

    #[test]
    fn progress_that_still_waits_is_replaced() {
        let mut log = Outlog::new(0);
        push_all(&mut log, [bar("iso", 1), bar("iso", 2), bar("disk", 1)], Room::Ample);
        assert_eq!(send(&mut log), "0:iso=2 1:disk=1");
        log.push(0, &bar("disk", 2), Room::Ample);
        assert_eq!(send(&mut log), "2:disk=2", "what was sent stays");
    }

    #[test]
    fn without_room_events_are_dropped_and_told_of_later() {
        let mut log = Outlog::new(0);
        log.push(0, &say("a"), Room::Scarce);
        log.push(0, &bar("iso", 1), Room::Scarce);
        push_all(&mut log, [say("b"), bar("iso", 2), say("c")], Room::None);
        log.push(0, &say("d"), Room::Scarce);
        assert_eq!(send(&mut log), "0:a 1:2 events were dropped while the coordinator was out of reach 2:d");
    }

    #[test]
    fn a_refused_log_keeps_nothing() {
        let mut log = Outlog::new(0);
        log.push(0, &say("a"), Room::Ample);
        log.refuse();
        log.push(0, &say("b"), Room::Ample);
        assert!(log.is_flushed() && log.bytes() == 0);
        assert_eq!(send(&mut log), "");
    }
}
