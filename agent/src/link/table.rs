//! The attempts that the agent has, and what follows when they or the coordinator's wishes change. Pure: says
//! what is to be done, and does nothing.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_proto::link::{
    Answer, Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, DesiredState, HeldAttempt,
    WantedAttempt,
};

use super::Stop;
use super::log::{Log, Room};
use super::outlog::Outlog;

/// The most bytes of events kept for a coordinator that is out of reach, of all attempts together. Half of it
/// is too dear for progress bars.
const EVENT_MEMORY: usize = 32 << 20;

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Begin this.
    Start(Assignment),
    /// End this early.
    Stop(AttemptKey, Stop),
    /// Pass this on.
    Answer(AttemptKey, Answer),
    /// Nobody will ask about this any more.
    Forget(AttemptKey),
}

/// The attempts that the agent has.
#[derive(Debug, Default)]
pub struct Table {
    attempts: BTreeMap<AttemptKey, Attempt>,
    event_bytes: usize,
}

#[derive(Debug)]
struct Attempt {
    phase: Phase,
    /// When it last got anywhere, as far as is known.
    moved: Option<u64>,
    log: Box<dyn Log>,
    /// Whether it was told to stop.
    stopped: bool,
    /// Whether it is not wanted any more: its end was reported, or it is somebody else's now.
    lost: bool,
    /// Questions whose answers were passed on.
    answered: BTreeSet<u64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Accepted,
    Running,
    /// It ended, but not all its events have been taken.
    Ending(TaskOutcome),
    /// With the place after its last event.
    Ended(TaskOutcome, Option<u64>),
}

impl Table {
    /// Whether there are no attempts, not even lost ones that are still being undone or whose events are not durable.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.attempts.values().all(Attempt::has_ended)
    }

    /// Takes up an attempt from before, with its events.
    pub fn adopt(&mut self, key: AttemptKey) {
        self.attempts.insert(key, Attempt { phase: Phase::Running, ..Attempt::new(0) });
    }

    /// From now on an attempt's events come from `log`.
    pub(super) fn keep_events_in(&mut self, key: AttemptKey, mut log: Box<dyn Log>) {
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        if attempt.lost {
            log.refuse();
        }
        self.event_bytes -= attempt.log.bytes();
        self.event_bytes += log.bytes();
        attempt.log = log;
    }

    /// What the coordinator is told at `now`, in milliseconds of a monotonic clock.
    pub fn held(&self, now: u64) -> Vec<HeldAttempt> {
        let phase = |phase: &Phase| match phase {
            Phase::Accepted => AttemptPhase::Accepted,
            Phase::Running | Phase::Ending(_) => AttemptPhase::Running,
            Phase::Ended(outcome, _) => AttemptPhase::Ended(outcome.clone()),
        };
        let said = |phase: &Phase| match phase {
            Phase::Ended(_, said) => *said,
            Phase::Accepted | Phase::Running | Phase::Ending(_) => None,
        };
        let mine = self.attempts.iter().filter(|(_, attempt)| !attempt.lost);
        let told = |(key, attempt): (&AttemptKey, &Attempt)| HeldAttempt {
            key: *key,
            phase: phase(&attempt.phase),
            idle_ms: attempt.moved.map(|at| now.saturating_sub(at)),
            said: said(&attempt.phase),
        };
        mine.map(told).collect()
    }

    /// An attempt got somewhere, by the same clock.
    pub fn moved(&mut self, key: AttemptKey, at: u64) {
        if let Some(attempt) = self.attempts.get_mut(&key) {
            attempt.moved = Some(at);
        }
    }

    /// Follows the coordinator's wishes.
    pub fn follow(&mut self, desired: DesiredState) -> Vec<Effect> {
        let wanted: BTreeMap<AttemptKey, &WantedAttempt> =
            desired.hold.iter().map(|wanted| (wanted.key, wanted)).collect();
        let mut effects = self.drop_unwanted(&wanted);
        for (key, wanted) in wanted {
            let Some(attempt) = self.attempts.get_mut(&key) else { continue };
            if wanted.cancel && !std::mem::replace(&mut attempt.stopped, true) {
                effects.push(Effect::Stop(key, Stop::Cancelled));
            }
            for answer in &wanted.answers {
                if attempt.answered.insert(answer.question) {
                    effects.push(Effect::Answer(key, answer.clone()));
                }
            }
        }
        for assignment in desired.begin {
            if let Entry::Vacant(place) = self.attempts.entry(assignment.key) {
                place.insert(Attempt::new(assignment.first_sequence));
                effects.push(Effect::Start(assignment));
            }
        }
        effects
    }

    /// Forgets what ended and was taken, and lets go of what was lost.
    fn drop_unwanted(&mut self, wanted: &BTreeMap<AttemptKey, &WantedAttempt>) -> Vec<Effect> {
        let gone: Vec<_> = self.attempts.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        gone.into_iter().filter_map(|key| self.lose(key)).collect()
    }

    /// Lets go of all that is under way, since no coordinator has been heard of for too long. What has ended stays for
    /// the next one to hear of.
    pub fn lose_all(&mut self) -> Vec<Effect> {
        let under_way = self.attempts.iter().filter(|(_, attempt)| !attempt.has_ended());
        let under_way: Vec<_> = under_way.map(|(key, _)| *key).collect();
        under_way.into_iter().filter_map(|key| self.lose(key)).collect()
    }

    fn lose(&mut self, key: AttemptKey) -> Option<Effect> {
        let attempt = self.attempts.get_mut(&key)?;
        let lost_before = std::mem::replace(&mut attempt.lost, true);
        if attempt.has_ended() {
            return self.let_go(key);
        }
        if lost_before {
            return None;
        }
        self.event_bytes -= attempt.log.bytes();
        attempt.log.refuse();
        self.event_bytes += attempt.log.bytes();
        Some(Effect::Stop(key, Stop::Lost))
    }

    /// Forgets an attempt that ended, is not wanted, and whose events nobody needs from here.
    fn let_go(&mut self, key: AttemptKey) -> Option<Effect> {
        let attempt = self.attempts.get_mut(&key)?;
        if !attempt.lost || !attempt.has_ended() || !attempt.log.is_settled() {
            return None;
        }
        self.event_bytes -= attempt.log.bytes();
        self.attempts.remove(&key);
        Some(Effect::Forget(key))
    }

    /// An attempt began. `false` when that is no news.
    pub fn running(&mut self, key: AttemptKey) -> bool {
        let attempt = self.attempts.get_mut(&key).filter(|attempt| attempt.phase == Phase::Accepted);
        attempt.map(|attempt| attempt.phase = Phase::Running).is_some()
    }

    /// An attempt ended; the first word about it counts. `None` when that is no news.
    pub fn finish(&mut self, key: AttemptKey, outcome: TaskOutcome) -> Option<Vec<Effect>> {
        let attempt = self.attempts.get_mut(&key).filter(|attempt| !attempt.has_ended())?;
        attempt.phase = Phase::Ending(outcome);
        attempt.flush();
        Some(self.let_go(key).into_iter().collect())
    }

    /// Something happened in an attempt.
    pub fn say(&mut self, key: AttemptKey, at_ms: u64, kind: &EventKind) {
        let room = match self.event_bytes {
            bytes if bytes < EVENT_MEMORY / 2 => Room::Ample,
            bytes if bytes < EVENT_MEMORY => Room::Scarce,
            _ => Room::None,
        };
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        if attempt.has_ended() {
            return;
        }
        self.event_bytes -= attempt.log.bytes();
        attempt.log.push(at_ms, kind, room);
        self.event_bytes += attempt.log.bytes();
    }

    /// Events to be sent, about `room` bytes of them.
    pub fn events(&mut self, mut room: usize) -> Vec<AttemptEvents> {
        let batch = self.attempts.iter_mut().filter_map(|(key, attempt)| {
            let records = attempt.log.send(&mut room);
            (!records.is_empty()).then_some(AttemptEvents { task: key.task, epoch: key.epoch, records })
        });
        batch.collect()
    }

    /// The coordinator told how far it took events. Says whether an attempt's end may be reported now.
    pub fn taken(&mut self, receipts: &[AttemptReceipt]) -> (bool, Vec<Effect>) {
        let (mut news, mut effects) = (false, Vec::new());
        for receipt in receipts {
            let of = |key: &AttemptKey| (key.task, key.epoch) == (receipt.task, receipt.epoch);
            let Some((key, attempt)) = self.attempts.iter_mut().find(|(key, _)| of(key)) else { continue };
            let key = *key;
            self.event_bytes -= attempt.log.bytes();
            if receipt.refused {
                attempt.log.refuse();
            } else {
                attempt.log.taken(receipt.next_sequence);
                attempt.log.durable(receipt.durable_sequence);
            }
            self.event_bytes += attempt.log.bytes();
            news |= attempt.flush();
            effects.extend(self.let_go(key));
        }
        (news, effects)
    }

    /// A new connection: what is not durable is sent again.
    pub fn rewind(&mut self) {
        self.attempts.values_mut().for_each(|attempt| attempt.log.rewind());
    }
}

impl Attempt {
    fn new(first_sequence: u64) -> Self {
        let log = Box::new(Outlog::new(first_sequence));
        Self {
            phase: Phase::Accepted,
            moved: None,
            log,
            stopped: false,
            lost: false,
            answered: BTreeSet::new(),
        }
    }

    const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Ended(..))
    }

    /// Moves on from `Ending` when all its events have been taken.
    fn flush(&mut self) -> bool {
        match &self.phase {
            Phase::Ending(outcome) if self.log.is_flushed() => {
                self.phase = Phase::Ended(outcome.clone(), self.log.said());
                true
            }
            Phase::Accepted | Phase::Running | Phase::Ending(_) | Phase::Ended(..) => false,
        }
    }
}

#[cfg(test)]
mod tests;
