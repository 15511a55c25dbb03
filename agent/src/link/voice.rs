//! How an attempt speaks to the farm.

use std::sync::Arc;

use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::{Failure, Fault};
use kiln_proto::link::AttemptKey;

use super::desk::Desk;
use super::log::Log;

/// The voice of one attempt. Clones are the same one; when the last is dropped before the attempt finished, the
/// attempt failed: a builder that panics must not leave its task hanging.
#[derive(Clone, Debug)]
pub struct Voice {
    throat: Arc<Throat>,
}

#[derive(Debug)]
struct Throat {
    attempt: AttemptKey,
    desk: Arc<Desk>,
}

impl Voice {
    pub(super) fn new(attempt: AttemptKey, desk: Arc<Desk>) -> Self {
        Self { throat: Arc::new(Throat { attempt, desk }) }
    }

    /// Whose voice it is.
    pub fn attempt(&self) -> AttemptKey {
        self.throat.attempt
    }

    /// The work has begun.
    pub fn running(&self) {
        self.throat.desk.running(self.throat.attempt);
    }

    /// Something happened. Never waits; text must be redacted already. `Finished` is not for attempts to say: the
    /// farm may try again.
    pub fn say(&self, kind: &EventKind) {
        debug_assert!(!matches!(kind, EventKind::Finished { .. }), "attempts finish by `finish`");
        self.throat.desk.say(self.throat.attempt, kind);
    }

    /// From now on the attempt's events are in `log`, and not said.
    pub fn keep_events_in(&self, log: Box<dyn Log>) {
        self.throat.desk.keep_events_in(self.throat.attempt, log);
    }

    /// It got somewhere, though there is nothing to say.
    pub fn moved(&self) {
        self.throat.desk.moved(self.throat.attempt);
    }

    /// There is more in the log of the attempt.
    pub fn more_events(&self) {
        self.moved();
        self.throat.desk.events.notify_one();
    }

    /// The attempt ended, with everything undone that had to be. The first word about it counts; nothing said
    /// later is heard.
    pub fn finish(&self, outcome: TaskOutcome) {
        self.throat.desk.finish(self.throat.attempt, outcome);
    }
}

impl Drop for Throat {
    fn drop(&mut self) {
        let failure = Failure::new(Fault::Machine, "the attempt broke off without a word")
            .hint("this is a defect of kiln; the agent's log tells more");
        self.desk.finish(self.attempt, TaskOutcome::Failed { failure });
    }
}
