//! The ledger of three coordinators, as far as it matters here: a command is applied once, in one order, if the one that
//! proposed it leads under the present term and a majority is there; its acknowledgement may be lost.

use kiln_model::{Action, Command, FarmState, Outcome, Timestamp, apply};
use kiln_plan::id::TaskId;

/// A rule that the ledger breaks on purpose, so that a test can see the invariants fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Reports count whatever their epoch.
    TakesStaleReports,
    /// A submission is acknowledged and forgotten.
    ForgetsBuilds,
    /// A drain is acknowledged and forgotten.
    IgnoresDrains,
    /// A lease is granted under the epoch of the one before.
    ReusesEpochs,
    /// Images are published whatever the epoch.
    PublishesTwice,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) state: FarmState,
    /// Who leads, as the majority sees it.
    pub(super) leader: Option<usize>,
    pub(super) term: u64,
    pub(super) commands: u64,
    sabotage: Option<Sabotage>,
}

impl Ledger {
    pub(super) fn new(sabotage: Option<Sabotage>) -> Self {
        Self { state: FarmState::default(), leader: None, term: 0, commands: 0, sabotage }
    }

    /// Applies a command.
    pub(super) fn apply(&mut self, at: u64, action: Action) -> Outcome {
        self.commands += 1;
        let action = match self.tamper(action) {
            Ok(action) => action,
            Err(outcome) => return outcome,
        };
        let assigned = match &action {
            Action::Assign { task, .. } => Some(*task),
            _ => None,
        };
        let outcome = apply(&mut self.state, &Command { at: Timestamp(at), action });
        if let (Some(task), Some(Sabotage::ReusesEpochs)) = (assigned, self.sabotage) {
            self.reuse_epoch(task);
        }
        outcome
    }

    /// What is applied instead; an outcome when nothing is.
    fn tamper(&self, action: Action) -> Result<Action, Outcome> {
        match (self.sabotage, action) {
            (Some(Sabotage::ForgetsBuilds), Action::Submit { .. }) if self.commands.is_multiple_of(3) => {
                Err(Outcome::Done)
            }
            (Some(Sabotage::IgnoresDrains), Action::DrainAgent { .. }) => Err(Outcome::Done),
            (
                Some(Sabotage::TakesStaleReports),
                Action::Report { task, agent, attempt, epoch, outcome, said },
            ) => {
                let lease = self.state.tasks().get(&task).and_then(|task| task.lease());
                let (agent, attempt, epoch) =
                    lease.map_or((agent, attempt, epoch), |l| (l.agent, l.attempt, l.epoch));
                Ok(Action::Report { task, agent, attempt, epoch, outcome, said })
            }
            (
                Some(Sabotage::PublishesTwice),
                Action::Image(kiln_model::ImageAction::Publish { mut by, image, collections }),
            ) => {
                if let Some(lease) = self.state.tasks().get(&by.task).and_then(|task| task.lease()) {
                    (by.agent, by.attempt, by.epoch) = (lease.agent, lease.attempt, lease.epoch);
                }
                Ok(Action::Image(kiln_model::ImageAction::Publish { by, image, collections }))
            }
            (_, action) => Ok(action),
        }
    }

    /// Takes a fencing number back, which no command can.
    fn reuse_epoch(&mut self, task: TaskId) {
        let epoch = self.state.tasks().get(&task).map_or(0, |task| task.epoch.0);
        if epoch < 2 {
            return;
        }
        let mut state = serde_json::to_value(&self.state).expect("a state has only string keys");
        let told = &mut state["tasks"][task.to_string()];
        told["epoch"] = (epoch - 1).into();
        if told["phase"]["Leased"].is_object() {
            told["phase"]["Leased"]["epoch"] = (epoch - 1).into();
        }
        self.state = serde_json::from_value(state).expect("it was written just now");
    }
}
