//! What must never happen, one law per file, checked after every command.

use kiln_model::{Action, FarmState, Outcome};

pub mod builds_end;
pub mod drained_agents_empty;
pub mod no_task_lost;
pub mod one_event_per_number;
pub mod one_holder_per_epoch;
pub mod published_once;
pub mod stale_epochs_refused;

/// A command with what became of it and the state on both sides.
#[derive(Debug)]
pub struct Step<'a> {
    /// The state before.
    pub before: &'a FarmState,
    /// What was asked.
    pub action: &'a Action,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The state after.
    pub after: &'a FarmState,
}

/// All that the laws remember.
#[derive(Debug, Default)]
pub struct Laws {
    /// See there.
    pub no_task_lost: no_task_lost::Law,
    /// See there.
    pub events: one_event_per_number::Law,
    holders: one_holder_per_epoch::Law,
    images: published_once::Law,
    /// See there.
    pub drains: drained_agents_empty::Law,
}

impl Laws {
    /// Checks a step.
    ///
    /// # Errors
    /// Which law it breaks.
    pub fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let told = |law: &'static str| move |broken: String| format!("{law}: {broken}");
        self.no_task_lost.check(step).map_err(told("no task is lost"))?;
        self.holders.check(step).map_err(told("one holder per epoch"))?;
        self.images.check(step).map_err(told("an image is published at most once"))?;
        stale_epochs_refused::check(step).map_err(told("stale epochs are refused"))?;
        self.drains.check(step).map_err(told("drained agents become empty"))?;
        self.events.check().map_err(told("a number names one event"))
    }
}
