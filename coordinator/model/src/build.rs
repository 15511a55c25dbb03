//! One submission being carried out.
//!
//! ```text
//!   Submit ──► Running ──── the last task finished ────► Ended(Succeeded | Failed | Cancelled) ──► forgotten
//! ```

use std::num::NonZeroU32;

use kiln_plan::id::{BuildId, TaskId};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its identifier.
    pub id: BuildId,
    /// Its place among all builds ever submitted, from 0.
    pub order: u64,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// The most of its tasks that may be leased at once (`-parallel-builds`); `None` for no limit.
    pub parallel: Option<NonZeroU32>,
    /// Its tasks, in the order of the template.
    pub tasks: Vec<TaskId>,
    /// How many of them are leased or running.
    pub active: u32,
    /// How many of them have not finished.
    pub unfinished: u32,
    /// Where it stands.
    pub phase: BuildPhase,
}

impl Build {
    /// Whether one more of its tasks may be leased now.
    pub fn has_room(&self) -> bool {
        self.parallel.is_none_or(|limit| self.active < limit.get())
    }

    /// Whether it ended.
    pub const fn is_ended(&self) -> bool {
        matches!(self.phase, BuildPhase::Ended { .. })
    }
}

/// Where a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildPhase {
    /// Some task has not finished.
    Running,
    /// All tasks have finished.
    Ended {
        /// When the last one did.
        at: Timestamp,
        /// How.
        result: BuildResult,
    },
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildResult {
    /// Every task succeeded.
    Succeeded,
    /// A task failed.
    Failed,
    /// No task failed, but some were cancelled.
    Cancelled,
}
