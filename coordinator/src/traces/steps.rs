//! What the events of a task say of its steps, attempt by attempt. Only names and times are kept, and not more of them than
//! a trace can show.

use kiln_plan::event::EventKind;

use crate::events::retry_note;

/// The most steps of an attempt.
const MOST: usize = 256;

/// The most attempts: more than are ever made, and a guest can fake the words between them.
const MOST_ATTEMPTS: usize = 16;

/// The most characters of a name.
const NAME: usize = 128;

/// The steps of a task's attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// In the order of the attempts.
    pub(super) attempts: Vec<Seen>,
}

/// What was seen of an attempt, by its machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The time of its first event.
    pub(super) first_ms: Option<u64>,
    /// In the order in which they began.
    pub(super) steps: Vec<Step>,
    /// How many more there were.
    pub(super) left_out: u64,
    /// Those that have not ended, innermost last.
    open: Vec<usize>,
}

/// A step, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What it does.
    pub(super) name: String,
    /// The step that it is a part of.
    pub(super) within: Option<usize>,
    /// When it began.
    pub(super) start_ms: u64,
    /// When it ended; `None` if the attempt ended before.
    pub(super) end_ms: Option<u64>,
}

impl Steps {
    /// Takes the next event of the task.
    pub(super) fn take(&mut self, at_ms: u64, kind: &EventKind) {
        if let Some(ended) = retry_note::ended_attempt(kind)
            && (self.attempts.len()..MOST_ATTEMPTS).contains(&ended)
        {
            // An attempt may have ended before it said anything.
            self.attempts.resize_with(ended + 1, Seen::default);
            return;
        }
        if matches!(kind, EventKind::Finished { .. }) {
            // That is the coordinator's.
            return;
        }
        if self.attempts.is_empty() {
            self.attempts.push(Seen::default());
        }
        if let Some(seen) = self.attempts.last_mut() {
            seen.take(at_ms, kind);
        }
    }
}

impl Seen {
    fn take(&mut self, at_ms: u64, kind: &EventKind) {
        self.first_ms.get_or_insert(at_ms);
        match kind {
            EventKind::StepStarted { .. } if self.steps.len() >= MOST => self.left_out += 1,
            EventKind::StepStarted { step } => {
                let name = step.chars().take(NAME).collect();
                let step = Step { name, within: self.open.last().copied(), start_ms: at_ms, end_ms: None };
                self.open.push(self.steps.len());
                self.steps.push(step);
            }
            EventKind::StepFinished { step, .. } => {
                let is_it = |index: &usize| step.starts_with(&self.steps[*index].name);
                if let Some(place) = self.open.iter().rposition(is_it) {
                    let index = self.open.remove(place);
                    self.steps[index].end_ms = Some(at_ms);
                }
            }
            _ => {}
        }
    }
}
