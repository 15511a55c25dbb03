//! What the asker of a command learns, and the reasons for refusal. A refused command changes nothing.

use kiln_plan::id::{AgentId, BuildId, Epoch, ImageId, TaskId};
use serde::{Deserialize, Serialize};

use crate::identity::{IdentityRefusal, Joined};
use crate::image::ImageRefusal;
use crate::retry::Verdict;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done; there is nothing more to tell.
    Done,
    /// The task was given, under this fencing number.
    Assigned {
        /// The number.
        epoch: Epoch,
    },
    /// Leases were renewed, except those of these tasks: somebody else has them, or they are finished.
    Synchronized {
        /// The tasks whose attempts the agent must drop.
        stale: Vec<TaskId>,
    },
    /// The report was taken, and this follows for the task.
    Reported {
        /// Whether that was the end of it.
        verdict: Verdict,
    },
    /// Nothing was submitted, since this build does the same.
    UnderWay {
        /// The build that is under way.
        build: BuildId,
    },
    /// Nothing was submitted, since this is the build of the same request, which was sent again.
    SubmittedBefore {
        /// The build, which may have ended.
        build: BuildId,
    },
    /// This image of the task is visible, or was and is deleted.
    Published {
        /// Which.
        image: ImageId,
    },
    /// Somebody has joined the farm.
    Joined(Joined),
    /// It was not done.
    Refused(Refusal),
}

impl Outcome {
    /// The refusal, when it is one.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Done
            | Self::Assigned { .. }
            | Self::Synchronized { .. }
            | Self::Reported { .. }
            | Self::Published { .. }
            | Self::UnderWay { .. }
            | Self::SubmittedBefore { .. }
            | Self::Joined(_) => None,
        }
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No such build.
    #[error("build {0} is not known; it may have been forgotten")]
    UnknownBuild(BuildId),
    /// No such task.
    #[error("task {0} is not known; its build may have been forgotten")]
    UnknownTask(TaskId),
    /// No such agent.
    #[error("agent {0} is not known; it must connect first")]
    UnknownAgent(AgentId),
    /// The identifier is taken.
    #[error("build {0} was submitted before")]
    DuplicateBuild(BuildId),
    /// The identifier is taken.
    #[error("task {0} was submitted before")]
    DuplicateTask(TaskId),
    /// There is nothing to do.
    #[error("build {0} has no tasks")]
    EmptyBuild(BuildId),
    /// The sender's lease was replaced.
    #[error("epoch {given} of task {task} is stale, the current one is {current}")]
    StaleEpoch {
        /// The task.
        task: TaskId,
        /// What the sender has.
        given: Epoch,
        /// What holds.
        current: Epoch,
    },
    /// The task is held or finished.
    #[error("task {0} is not waiting for an agent")]
    NotQueued(TaskId),
    /// Its agent works on it already.
    #[error("task {0} has begun")]
    HasBegun(TaskId),
    /// The agent takes no tasks.
    #[error("agent {0} is not ready for tasks")]
    AgentNotReady(AgentId),
    /// The agent's offer does not meet the requirements, or has no room left.
    #[error("agent {agent} has no room for task {task} or does not offer what it needs")]
    DoesNotFit {
        /// The task.
        task: TaskId,
        /// The agent.
        agent: AgentId,
    },
    /// As many tasks of the build are held as it allows.
    #[error("build {0} allows no more tasks at once")]
    LimitReached(BuildId),
    /// The lease was renewed meanwhile.
    #[error("the lease of task {0} is still good")]
    LeaseStillGood(TaskId),
    /// The attempt is within its limits, or is ended already.
    #[error("task {0} has overrun nothing")]
    NothingOverrun(TaskId),
    /// Some agent could take it after all.
    #[error("task {0} can be placed")]
    Placeable(TaskId),
    /// The agent was heard of meanwhile.
    #[error("agent {0} is not silent")]
    AgentIsHeard(AgentId),
    /// The agent has tasks, or is still there.
    #[error("agent {0} is not gone")]
    AgentNotGone(AgentId),
    /// The build ended already.
    #[error("build {0} has ended")]
    BuildEnded(BuildId),
    /// The build has not ended.
    #[error("build {0} has not ended")]
    BuildNotEnded(BuildId),
    /// Something about images.
    #[error(transparent)]
    Image(#[from] ImageRefusal),
    /// Somebody may not take part, or a token is no good.
    #[error(transparent)]
    Identity(IdentityRefusal),
}
