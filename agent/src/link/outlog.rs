//! The events of one attempt that are kept in memory: those that the coordinator has not made durable yet.
//!
//! ```text
//!   records:   sent, perhaps taken │ to be sent
//!              ◄── sent ──────────►│
//! ```
//!
//! A new connection sends all of it again; the coordinator passes over what it has.

use std::collections::VecDeque;

use kiln_plan::event::EventKind;
use kiln_proto::event::Record;

use super::log::{Log, Room};

/// Events on their way out.
#[derive(Debug)]
pub(super) struct Outlog {
    next: u64,
    /// The first event that the coordinator has not taken.
    taken: u64,
    records: VecDeque<Record>,
    sent: usize,
    /// The first event that was never sent: those before keep their places.
    shown: u64,
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
        let (bar, dropped, refused) = (None, 0, false);
        Self { next: first, taken: first, records, sent: 0, shown: first, bytes: 0, bar, dropped, refused }
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
}

impl Log for Outlog {
    /// Progress replaces the progress of the same bar that still waits, and needs ample room; what finds none is counted
    /// and told of later.
    fn push(&mut self, at_ms: u64, kind: &EventKind, room: Room) {
        if self.refused {
            return;
        }
        let bar = match kind {
            EventKind::Progress { label, .. } => Some(label),
            _ => None,
        };
        if bar.is_some() && self.bar.as_ref() == bar && self.shown < self.next {
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

    fn send(&mut self, room: &mut usize) -> Vec<Record> {
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
        self.shown = batch.last().map_or(self.shown, |record| self.shown.max(record.sequence + 1));
        batch
    }

    fn taken(&mut self, next: u64) {
        self.taken = self.taken.max(next.min(self.next));
        let had = self.records.partition_point(|record| record.sequence < next);
        self.sent = self.sent.max(had);
    }

    fn durable(&mut self, next: u64) {
        self.taken(next);
        while self.records.front().is_some_and(|record| record.sequence < next) {
            let size = self.records.pop_front().map_or(0, |record| record.size());
            self.bytes -= size;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    fn refuse(&mut self) {
        let next = self.next;
        *self = Self { refused: true, ..Self::new(next) };
    }

    fn rewind(&mut self) {
        self.sent = 0;
    }

    fn said(&mut self) -> Option<u64> {
        (!self.refused).then_some(self.next)
    }

    fn is_flushed(&mut self) -> bool {
        self.refused || self.taken >= self.next
    }

    fn is_settled(&mut self) -> bool {
        self.refused || self.records.is_empty()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
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
    fn what_is_durable_is_forgotten_and_the_rest_sent_again_after_a_break() {
        let mut log = Outlog::new(5);
        push_all(&mut log, ["a", "b", "c"].map(say), Room::Ample);
        assert_eq!(send(&mut log), "5:a 6:b 7:c");
        assert_eq!(send(&mut log), "");
        log.durable(6);
        log.push(0, &say("d"), Room::Ample);
        assert_eq!(send(&mut log), "8:d");
        log.rewind();
        assert_eq!(send(&mut log), "6:b 7:c 8:d");
        log.durable(9);
        assert!(log.is_flushed() && log.is_settled() && log.bytes() == 0);
    }

    #[test]
    fn what_was_taken_but_is_not_durable_is_kept_for_the_next_coordinator() {
        let mut log = Outlog::new(5);
        push_all(&mut log, ["a", "b"].map(say), Room::Ample);
        log.rewind();
        log.taken(6);
        assert_eq!(send(&mut log), "6:b", "what the coordinator has need not be sent on this connection");
        log.taken(7);
        assert!(log.is_flushed() && !log.is_settled());
        log.rewind();
        assert_eq!(send(&mut log), "5:a 6:b");
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
        log.rewind();
        push_all(&mut log, [bar("disk", 3), bar("disk", 4)], Room::Ample);
        assert_eq!(send(&mut log), "0:iso=2 1:disk=1 2:disk=2 3:disk=4", "on any connection");
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
        assert!(log.is_flushed() && log.bytes() == 0 && log.said().is_none());
        assert_eq!(send(&mut log), "");
    }
}
