//! The events of one task: its attempts one after the other, and its end.
//!
//! ```text
//!   ┌ attempt 1 ────────────┐   ┌ attempt 2 ────────────────────┐
//!   │ its agent's events    │ → │ why · its agent's events       │ → the end
//!   └───────────────────────┘   └───────────────────────────────┘
//!        a reader goes on only when an attempt is closed            and is done only when it was told the end
//! ```
//!
//! The events come from agents; why an attempt is made, and the end, come from the ledger ([`Story`]).

use kiln_plan::id::Epoch;
use kiln_proto::event::{Record, place};

use super::attempt::{AttemptLog, Gate, Missing, Next};
use super::story::Story;

/// One log.
#[derive(Debug)]
pub(super) struct TaskLog {
    /// By epoch, which grows.
    attempts: Vec<AttemptLog>,
    end: Option<Record>,
    /// Whether it is known what is at rest of it.
    known: bool,
}

/// Events that are to be put to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unrested {
    /// Of which attempt.
    pub(super) epoch: Epoch,
    /// Consecutive.
    pub(super) records: Vec<Record>,
}

impl TaskLog {
    /// The log of a task that nobody had before.
    pub(super) const fn new() -> Self {
        Self { attempts: Vec::new(), end: None, known: true }
    }

    /// The log of a task that another leader had. Unless it is `known` that nothing is at rest, it takes and tells
    /// nothing before that is.
    pub(super) fn resumed(story: Story, known: bool) -> Self {
        let mut log = Self { known, ..Self::new() };
        log.take_note(story, Gate::Awaited);
        log
    }

    /// Notes what the ledger says by now.
    pub(super) fn hear(&mut self, story: Story) {
        self.take_note(story, Gate::Open);
    }

    fn take_note(&mut self, story: Story, gate: Gate) {
        for chapter in story.chapters {
            match self.attempts.iter_mut().find(|attempt| attempt.epoch == chapter.epoch) {
                Some(attempt) => attempt.hear(chapter),
                None => {
                    let mut attempt = AttemptLog::new(chapter.epoch, gate);
                    attempt.hear(chapter);
                    self.attempts.push(attempt);
                }
            }
        }
        self.end = story.end.or(self.end.take());
        self.settle();
    }

    /// What is at rest was looked up: `durable` says up to where, by attempt.
    pub(super) fn become_known(&mut self, durable: impl Fn(Epoch) -> u64) {
        if !std::mem::replace(&mut self.known, true) {
            self.attempts.iter_mut().for_each(|attempt| attempt.found(durable(attempt.epoch)));
            self.settle();
        }
    }

    /// Whether it is known what is at rest.
    pub(super) const fn is_known(&self) -> bool {
        self.known
    }

    /// Whether the end is known.
    pub(super) const fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Closes attempts that nothing more is to be awaited of. Whether that changed anything.
    pub(super) fn settle(&mut self) -> bool {
        let settled = |attempt: &mut AttemptLog| attempt.settle();
        self.known && self.attempts.iter_mut().map(settled).fold(false, |any, this| any | this)
    }

    /// Takes what continues an attempt; `false` when nothing of it will be taken any more.
    pub(super) fn append(&mut self, epoch: Epoch, records: Vec<Record>) -> bool {
        let taken = self.attempt_mut(epoch).is_some_and(|attempt| attempt.append(records));
        self.settle();
        taken
    }

    pub(super) fn attempt(&self, epoch: Epoch) -> Option<&AttemptLog> {
        self.attempts.iter().find(|attempt| attempt.epoch == epoch)
    }

    fn attempt_mut(&mut self, epoch: Epoch) -> Option<&mut AttemptLog> {
        self.attempts.iter_mut().find(|attempt| attempt.epoch == epoch)
    }

    /// Events that should be put to rest now.
    pub(super) fn unrested(&self) -> impl Iterator<Item = Unrested> {
        let unrested =
            |attempt: &AttemptLog| Some(Unrested { epoch: attempt.epoch, records: attempt.unrested()? });
        self.attempts.iter().filter_map(unrested)
    }

    /// Everything of an attempt before `next` is at rest.
    pub(super) fn rest(&mut self, epoch: Epoch, next: u64) {
        if let Some(attempt) = self.attempt_mut(epoch) {
            attempt.rest(next);
        }
    }

    /// Everything may be dropped, since there is no rest.
    pub(super) fn rest_all(&mut self) {
        self.attempts.iter_mut().for_each(|attempt| attempt.rest(attempt.next()));
    }

    pub(super) fn bytes(&self) -> usize {
        self.attempts.iter().map(AttemptLog::bytes).sum()
    }

    /// Bytes kept that could be dropped, since they are at rest.
    pub(super) fn at_rest_bytes(&self) -> usize {
        self.attempts.iter().map(AttemptLog::at_rest_bytes).sum()
    }

    /// Drops the older half of an attempt's events, as far as they are at rest, and returns how many bytes that frees.
    pub(super) fn halve(&mut self) -> usize {
        self.attempts.iter_mut().max_by_key(|attempt| attempt.at_rest_bytes()).map_or(0, AttemptLog::halve)
    }

    /// What a reader wants next and is not kept here.
    pub(super) fn missing(&self, reader: u64) -> Option<Missing> {
        let own = self.attempts.iter().filter(|attempt| attempt.epoch >= place::epoch(reader));
        let next = own.filter(|_| self.known).find(|attempt| !attempt.is_behind(reader))?;
        next.missing(reader)
    }

    /// Tells a reader what lies at its place and after, at most `room` bytes, and moves the place past it. Also whether
    /// that is all that there ever will be. What is not kept here is told to be gone, unless it is `at_rest`.
    pub(super) fn tell(&self, reader: &mut u64, room: &mut usize, at_rest: bool) -> (Vec<Record>, bool) {
        let mut told = Vec::new();
        if !self.known {
            return (told, false);
        }
        let (from, mut left) = (place::epoch(*reader), *room);
        for attempt in self.attempts.iter().filter(|attempt| attempt.epoch >= from) {
            if attempt.tell(reader, (&mut left, at_rest), &mut told) == Next::Later {
                *room = left;
                return (told, false);
            }
        }
        *room = left;
        let Some(end) = &self.end else { return (told, false) };
        if *reader <= end.sequence {
            *reader = end.sequence + 1;
            told.push(end.clone());
        }
        (told, true)
    }
}
