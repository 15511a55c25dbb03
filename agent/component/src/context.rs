//! What every component of a task shares.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_plan::BuildPlan;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::origins::Origins;
use crate::reporter::Reporter;

/// The task as its components see it. Cheap to clone; a clone with another token or voice is how timeouts and
/// post-processors narrow it.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// What to build.
    pub plan: Arc<BuildPlan>,
    /// How to speak.
    pub reporter: Reporter,
    /// Fires when the task is to end early. Undo does not listen to it: it has deadlines of its own.
    pub cancel: CancellationToken,
    /// This task's own directory, removed when the task has ended. Private (0700).
    pub scratch: PathBuf,
    /// Where everything that is made outside of this process is announced first.
    pub journal: Journal,
    /// Where relative paths of the template resolve.
    pub working_dir: PathBuf,
    /// The machine's cache: downloads by checksum, port locks.
    pub cache_dir: PathBuf,
    /// Where it is noted what goes into the result.
    pub origins: Origins,
}

impl TaskContext {
    /// A path of the template, resolved against the working directory.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }

    /// The same task with another token: a provisioner's timeout.
    #[must_use]
    pub fn with_cancel(&self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// The same task with another voice.
    #[must_use]
    pub fn with_reporter(&self, reporter: Reporter) -> Self {
        Self { reporter, ..self.clone() }
    }
}
