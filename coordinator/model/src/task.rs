//! One source of one build: the unit an agent takes.
//!
//! ```text
//!             Assign                 Synchronize (the agent says it began)
//!   Queued ──────────► Leased ─────────────────────────► Running
//!     ▲ │ ◄── HandBack ──│                                  │
//!     │ │ Cancel, GiveUp └──────────────┬───────────────────┘
//!     │ │                               │ Report, ExpireLease
//!     │ │            retry elsewhere    ▼
//!     │ └──────────┐◄────────────── verdict
//!     └────────────│────────────────────┘
//!                  ▼                    │ final
//!               Finished ◄──────────────┘
//! ```
//!
//! Finished is final. The epoch grows with each grant and never otherwise.

use std::sync::Arc;

use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use kiln_plan::{Failure, Fault, Requirements, Terms};
use serde::{Deserialize, Serialize};

use crate::lease::Lease;
use crate::queue::Class;
use crate::time::Timestamp;

/// One task with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its identifier.
    pub id: TaskId,
    /// The build it belongs to.
    pub build: BuildId,
    /// Its place among the tasks of the build, in the order of the template, from 0.
    pub index: u32,
    /// The name shown to people.
    pub name: String,
    /// The digest of its plan; the plan itself lies beside the ledger.
    pub plan: Fingerprint,
    /// What a machine must offer; the terms are apart.
    pub requirements: Arc<Requirements>,
    /// Under which terms it is carried out.
    pub terms: Terms,
    /// Where it stands.
    pub phase: TaskPhase,
    /// The fencing number of the latest grant; 0 before the first.
    pub epoch: Epoch,
    /// To whom that grant went, whether or not it still holds.
    #[serde(default)]
    pub holder: Option<AgentId>,
    /// Attempts that ended without finishing the task, oldest first.
    pub attempts: Vec<EndedAttempt>,
    /// The place after the last event of each attempt whose agent told its end and that, by epoch, oldest first. Readers wait
    /// for what lies before, and for nothing that lies behind.
    #[serde(default)]
    pub said: Vec<(Epoch, u64)>,
    /// The lease of the attempt that finished it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_by: Option<Lease>,
    /// Whether its end was asked for: the holder is told to cancel, and nothing is tried again.
    pub cancelling: bool,
    /// Why the farm ended it, when it took too long: the outcome once its holder has stopped.
    pub overrun: Option<Failure>,
    /// Its place among all ends of tasks of the farm, from 1, once it has finished.
    pub ending: Option<u64>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskPhase {
    /// It waits for an agent.
    Queued {
        /// Since when.
        since: Timestamp,
    },
    /// An agent was chosen; it has not said yet that it began.
    Leased(Lease),
    /// An agent works on it.
    Running(Lease),
    /// It ended, for good.
    Finished {
        /// When.
        at: Timestamp,
        /// How.
        outcome: TaskOutcome,
    },
}

/// An attempt that ended without finishing the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAttempt {
    /// Which try.
    pub attempt: AttemptId,
    /// Who made it.
    pub agent: AgentId,
    /// Under which fencing number.
    pub epoch: Epoch,
    /// When its agent was given it.
    pub granted: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub how: AttemptEnd,
}

/// How an attempt ended that didn't finish its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptEnd {
    /// Nothing was heard of its agent in time. The agent may still be at it, and may come back.
    LeaseExpired,
    /// Its agent reported a failure that another machine may not have.
    Failed(Failure),
}

/// What an agent's claim to an attempt is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds the lease.
    Held,
    /// Its lease expired, but nobody was given the task since.
    Expired,
    /// Somebody else has the task, or it is finished.
    Stale,
}

impl Task {
    /// The lease, when somebody has it.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.phase {
            TaskPhase::Leased(lease) | TaskPhase::Running(lease) => Some(lease),
            TaskPhase::Queued { .. } | TaskPhase::Finished { .. } => None,
        }
    }

    /// The place after the last event of the attempt under `epoch`, when its agent told so.
    pub fn said(&self, epoch: Epoch) -> Option<u64> {
        self.said.iter().find(|(of, _)| *of == epoch).map(|(_, next)| *next)
    }

    /// Whose word counts about what happened in the attempt under `epoch`. Of one that others have followed it is still
    /// its agent's, up to the place that it named with the end; one that just fell silent is shut out.
    pub fn teller(&self, epoch: Epoch) -> Option<AgentId> {
        if epoch == self.epoch {
            return self.holder;
        }
        let ended = self.attempts.iter().find(|ended| ended.epoch == epoch)?;
        self.said(epoch).map(|_| ended.agent)
    }

    /// How it ended, when it has.
    pub fn outcome(&self) -> Option<&TaskOutcome> {
        match &self.phase {
            TaskPhase::Finished { outcome, .. } => Some(outcome),
            TaskPhase::Queued { .. } | TaskPhase::Leased(_) | TaskPhase::Running(_) => None,
        }
    }

    /// Whether it ended.
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// What the claim of `agent` to the attempt under `epoch` is worth.
    pub fn standing(&self, agent: AgentId, attempt: AttemptId, epoch: Epoch) -> Standing {
        match &self.phase {
            TaskPhase::Leased(lease) | TaskPhase::Running(lease)
                if (lease.agent, lease.attempt, lease.epoch) == (agent, attempt, epoch) =>
            {
                Standing::Held
            }
            // Another may have been given and handed back since: its number is used up, and so is every older one.
            TaskPhase::Queued { .. } if epoch < self.epoch => Standing::Stale,
            TaskPhase::Queued { .. } => match self.attempts.last() {
                Some(last)
                    if (last.agent, last.attempt, last.epoch) == (agent, attempt, epoch)
                        && last.how == AttemptEnd::LeaseExpired =>
                {
                    Standing::Expired
                }
                _ => Standing::Stale,
            },
            TaskPhase::Leased(_) | TaskPhase::Running(_) | TaskPhase::Finished { .. } => Standing::Stale,
        }
    }

    /// Whether an attempt on that agent failed by the machine's own fault.
    pub fn failed_on(&self, agent: AgentId) -> bool {
        self.attempts.iter().any(|ended| {
            ended.agent == agent
                && matches!(&ended.how, AttemptEnd::Failed(failure) if failure.fault == Fault::Machine)
        })
    }

    /// What a scheduler must know of it: tasks of one class are alike.
    pub(crate) fn class(&self) -> Class {
        let mut tried: Vec<_> = self.attempts.iter().map(|e| (e.agent, self.failed_on(e.agent))).collect();
        tried.sort_unstable();
        tried.dedup();
        Class { need: Arc::clone(&self.requirements), tried }
    }

    /// Whether an attempt was made on that agent before.
    pub fn was_tried_on(&self, agent: AgentId) -> bool {
        self.attempts.iter().any(|ended| ended.agent == agent)
    }
}
