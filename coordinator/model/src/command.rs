//! Everything that can be asked of the farm. A command carries its own time and every identifier it needs,
//! so that applying it needs neither clock nor chance.

use std::num::NonZeroU32;

use kiln_plan::Requirements;
use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use serde::{Deserialize, Serialize};

use crate::agent::Offer;
use crate::build::Origin;
use crate::identity::IdentityAction;
use crate::image::ImageAction;
use crate::overrun::Overrun;
use crate::time::Timestamp;

/// Something asked at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was proposed. A command that seems to come from before its predecessor counts as simultaneous.
    pub at: Timestamp,
    /// What is asked.
    pub action: Action,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Carry out a build.
    Submit {
        /// Its new identifier.
        build: BuildId,
        /// `-parallel-builds`; `None` for no limit.
        parallel: Option<NonZeroU32>,
        /// Its tasks, in the order of the template. At least one.
        tasks: Vec<NewTask>,
        /// For whom and how urgently.
        #[serde(default)]
        origin: Origin,
        /// Whether a build of the same project and fingerprint that is under way will do instead.
        #[serde(default)]
        join: bool,
    },
    /// An agent opened its stream.
    Connect {
        /// Which.
        agent: AgentId,
        /// The name shown to people.
        name: String,
        /// What it offers from now on.
        offer: Offer,
    },
    /// An agent said something new about what it holds: an attempt began, or one whose lease expired meanwhile
    /// is taken up again. That all is as it was is no command, see [`crate::liveness`].
    Synchronize {
        /// Which.
        agent: AgentId,
        /// Whether it wants no new tasks.
        draining: bool,
        /// The attempts it has and that have not ended.
        held: Vec<Held>,
    },
    /// Give a queued task to an agent.
    Assign {
        /// The task.
        task: TaskId,
        /// Who shall have it.
        agent: AgentId,
        /// The new attempt's identifier.
        attempt: AttemptId,
    },
    /// Take a task back that its agent was not told of, since its plan could not be read. That counts as no attempt.
    HandBack {
        /// The task.
        task: TaskId,
        /// The fencing number under which it was given.
        epoch: Epoch,
    },
    /// An agent said how an attempt ended.
    Report {
        /// The task.
        task: TaskId,
        /// Who says so.
        agent: AgentId,
        /// Which attempt.
        attempt: AttemptId,
        /// The fencing number it worked under.
        epoch: Epoch,
        /// How it ended.
        outcome: TaskOutcome,
        /// The place after the last event that its agent told of it; `None` when nobody knows.
        #[serde(default)]
        said: Option<u64>,
    },
    /// End a build: what waits is finished as cancelled, what runs is told to stop.
    Cancel {
        /// Which.
        build: BuildId,
    },
    /// Take back a lease whose holder was not heard of for a term.
    ExpireLease {
        /// The task.
        task: TaskId,
        /// The lease's fencing number.
        epoch: Epoch,
        /// For how long the leader heard nothing of it, in milliseconds by its own monotonic clock.
        silent_ms: u64,
    },
    /// End an attempt that takes too long, as its guest's fault.
    Overrun {
        /// The task.
        task: TaskId,
        /// The attempt's fencing number.
        epoch: Epoch,
        /// What it has overrun.
        limit: Overrun,
    },
    /// Fail a queued task that no agent offers to carry out.
    GiveUp {
        /// The task.
        task: TaskId,
    },
    /// Mark an agent as lost that has been silent for too long.
    LoseAgent {
        /// Which.
        agent: AgentId,
        /// For how long the leader heard nothing of it, in milliseconds by its own monotonic clock.
        silent_ms: u64,
    },
    /// An operator wants an agent to finish what it has and take nothing new.
    DrainAgent {
        /// Which.
        agent: AgentId,
    },
    /// An operator wants an agent to take tasks again.
    UndrainAgent {
        /// Which.
        agent: AgentId,
    },
    /// An operator says how much of the farm a project gets beside the others.
    WeighProject {
        /// Which.
        project: String,
        /// Its share beside the others', 1 when nothing is said.
        weight: NonZeroU32,
    },
    /// An agent said goodbye, or stayed away for too long.
    Depart {
        /// Which.
        agent: AgentId,
    },
    /// Remove an agent that is gone.
    ForgetAgent {
        /// Which.
        agent: AgentId,
    },
    /// Remove a build that ended, and its tasks.
    ForgetBuild {
        /// Which.
        build: BuildId,
    },
    /// Something about images.
    Image(ImageAction),
    /// Something about who may take part.
    Identity(IdentityAction),
}

/// A task of a build to be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTask {
    /// Its new identifier.
    pub id: TaskId,
    /// The name shown to people.
    pub name: String,
    /// The digest of its plan.
    pub plan: Fingerprint,
    /// What a machine must offer.
    pub requirements: Requirements,
}

/// An attempt that an agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The fencing number it was given.
    pub epoch: Epoch,
    /// How far it is.
    pub phase: HeldPhase,
}

/// How far an attempt is that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldPhase {
    /// The agent has it and has not begun.
    Accepted,
    /// The agent works on it.
    Running,
}
