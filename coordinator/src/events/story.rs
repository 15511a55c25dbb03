//! What the ledger says of a task that its readers are told: which attempts there were and why, how far the words of each
//! go, and how the task ended. It follows from the ledger alone, numbers included, so every leader tells the same, as often as
//! it likes, and none of it needs to be kept.

use kiln_model::{AttemptEnd, FarmState, Task, TaskPhase};
use kiln_plan::event::EventKind;
use kiln_plan::id::{AgentId, Epoch};
use kiln_proto::event::{Record, place};

use super::retry_note;

/// A task, as far as the ledger knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    /// Its attempts, oldest first.
    pub(super) chapters: Vec<Chapter>,
    /// How it ended.
    pub(super) end: Option<Record>,
}

/// An attempt, as far as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) epoch: Epoch,
    /// A time that belongs to it, in milliseconds since the Unix epoch: when it was granted, as far as that is known.
    pub(super) at_ms: u64,
    /// Why it was made, when that is worth a word.
    pub(super) why: Option<Record>,
    /// The place after its last event; `None` as long as nobody knows.
    pub(super) said: Option<u64>,
    /// Whether nothing more happens in it.
    pub(super) is_over: bool,
}

impl Story {
    /// The story of a task.
    pub(crate) fn of(farm: &FarmState, task: &Task) -> Self {
        let chapters = (1..=task.epoch.0).map(|epoch| chapter(farm, task, Epoch(epoch))).collect();
        let end = match &task.phase {
            TaskPhase::Finished { at, outcome } => {
                let finished = EventKind::Finished { outcome: outcome.clone() };
                Some(Record::new(place::end(task.epoch), at.0, &finished))
            }
            TaskPhase::Queued { .. } | TaskPhase::Leased(_) | TaskPhase::Running(_) => None,
        };
        Self { chapters, end }
    }
}

fn chapter(farm: &FarmState, task: &Task, epoch: Epoch) -> Chapter {
    let said = task.said(epoch);
    // One whose lease expired may be taken up again until there is another.
    let is_over = epoch < task.epoch || task.is_finished() || said.is_some();
    Chapter { epoch, at_ms: at_ms(task, epoch), why: why(farm, task, epoch), said, is_over }
}

fn at_ms(task: &Task, epoch: Epoch) -> u64 {
    let ended = task.attempts.iter().find(|ended| ended.epoch >= epoch);
    let at = match (&task.phase, ended) {
        (_, Some(ended)) => ended.granted,
        (TaskPhase::Queued { since: at } | TaskPhase::Finished { at, .. }, None) => *at,
        (TaskPhase::Leased(lease) | TaskPhase::Running(lease), None) => lease.granted,
    };
    at.0
}

/// That this is not the first attempt, and why.
fn why(farm: &FarmState, task: &Task, epoch: Epoch) -> Option<Record> {
    let count = task.attempts.iter().take_while(|ended| ended.epoch < epoch).count();
    // What was given again under a new number needs no second word.
    let last = task.attempts.get(count.checked_sub(1)?).filter(|last| last.epoch.0 + 1 == epoch.0)?;
    let to = match task.attempts.get(count).filter(|ended| ended.epoch == epoch) {
        Some(ended) => Some(ended.agent),
        None => task.holder,
    };
    let name = |agent: AgentId| farm.agents().get(&agent).map_or("a former agent", |agent| &agent.name);
    let reason = match &last.how {
        AttemptEnd::LeaseExpired => "nothing was heard of it any more".to_owned(),
        AttemptEnd::Failed(failure) => failure.to_string(),
    };
    let (from, to) = (name(last.agent), to.map_or("another agent", name));
    let note = retry_note::of(count, (from, to), &reason);
    Some(Record::new(place::why(epoch), last.ended.0, &note))
}
