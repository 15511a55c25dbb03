//! A step of a builder's pipeline: what it yields, and how it is undone.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use kiln_plan::Failure;

use crate::context::TaskContext;

/// One step. Its inputs are its fields (handles that earlier steps yielded), so a wrong order doesn't compile.
/// `run` takes `&self` so that a person may have a failed step tried again (`-on-error=ask`).
#[async_trait]
pub trait Step: Send + Sync {
    /// What later steps get.
    type Output: Send;

    /// What it does, as people read it: `start the guest`.
    fn name(&self) -> &'static str;

    /// Does it. On an error it has undone what it had begun.
    ///
    /// # Errors
    /// Why it could not be done.
    async fn run(&self, cx: &TaskContext) -> Result<Done<Self::Output>, Failure>;
}

/// What a step yields, and how to undo it.
pub struct Done<T> {
    /// For later steps.
    pub output: T,
    /// Run last-first when the pipeline ends, however it ends; `None` when there is nothing to undo.
    pub undo: Option<Box<dyn Undo>>,
}

impl<T> Done<T> {
    /// Nothing to undo.
    pub fn plain(output: T) -> Self {
        Self { output, undo: None }
    }

    /// To be undone by `undo`.
    pub fn with_undo(output: T, undo: impl Undo + 'static) -> Self {
        Self { output, undo: Some(Box::new(undo)) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("output", &self.output).finish_non_exhaustive()
    }
}

/// How a pipeline ended, as undo sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps succeeded: resources are given back, results stay.
    Succeeded,
    /// A step failed: results go too.
    Failed,
    /// The task was cancelled: results go too.
    Cancelled,
}

/// Takes back what a step did. Runs under its own deadline and does not listen to cancellation.
#[async_trait]
pub trait Undo: Send + Sync {
    /// Takes it back. Problems are reported, not returned: the other undos must run.
    async fn undo(self: Box<Self>, cx: &TaskContext, ending: Ending);

    /// The longest it may take.
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Whether it runs even with `-on-error=run-cleanup-provisioner`: true for the provision step alone.
    fn is_provisioning(&self) -> bool {
        false
    }
}
