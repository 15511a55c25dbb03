//! One submission being carried out.
//!
//! ```text
//!   Submit ──► Running ──── the last task finished ────► Ended(Succeeded | Failed | Cancelled) ──► forgotten
//! ```

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use kiln_plan::TraceParent;
use kiln_plan::fingerprint::Fingerprint;
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
    /// For whom and how urgently it is carried out.
    #[serde(default)]
    pub origin: Origin,
}

/// The project of builds that name none.
pub const DEFAULT_PROJECT: &str = "default";

/// For whom and how urgently a build is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The project, among which the farm is shared out.
    pub project: String,
    /// Who submitted it, as people know them.
    pub submitter: Option<String>,
    /// What its submitter marked it with, for people and their tools.
    pub labels: BTreeMap<String, String>,
    /// From −100 to 100, higher first, within the project. Each task's own is added.
    pub priority: i32,
    /// What two builds have in common that would do the same; `None` when it is never joined.
    pub fingerprint: Option<Fingerprint>,
    /// The files that it was evaluated from and works in.
    #[serde(default)]
    pub bundle: Option<Fingerprint>,
    /// Who submitted it and by which key, so that what is sent again is not built again; `None` when it was sent
    /// without a key.
    #[serde(default)]
    pub request: Option<Fingerprint>,
    /// The span of its submitter's trace that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<TraceParent>,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            project: DEFAULT_PROJECT.to_owned(),
            submitter: None,
            labels: BTreeMap::new(),
            priority: 0,
            fingerprint: None,
            bundle: None,
            request: None,
            trace_parent: None,
        }
    }
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
