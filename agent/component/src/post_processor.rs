//! A post-processor: works on an artifact after the guest is gone.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_plan::Failure;

use crate::artifact::Artifact;
use crate::context::TaskContext;

/// Whether the artifact that went in is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Dropped unless the template says otherwise.
    DropByDefault,
    /// Kept unless the template says otherwise.
    KeepByDefault,
    /// Kept whatever the template says.
    Always,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Processed {
    /// The new artifact; `None` ends the sequence quietly.
    pub artifact: Option<Arc<dyn Artifact>>,
    /// Whether the input is kept.
    pub keep: Keep,
}

/// Works on an artifact.
#[async_trait]
pub trait PostProcessor: fmt::Debug + Send + Sync {
    /// Runs once. On an error or cancellation it removes what it had made.
    ///
    /// # Errors
    /// Why the artifact could not be processed.
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure>;
}
