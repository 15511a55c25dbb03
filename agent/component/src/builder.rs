//! A builder: makes a guest (or nothing), lets it be provisioned, and yields an artifact.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_plan::Failure;

use crate::artifact::Artifact;
use crate::communicator::Communicator;
use crate::context::TaskContext;
use crate::provisioner::GeneratedData;

/// Makes one artifact. Contract: when `build` returns, with or without error, nothing that it started is left
/// running, and on an error nothing that it made is left on disk unless the run's options say so (`-on-error`).
#[async_trait]
pub trait Builder: fmt::Debug + Send + Sync {
    /// Runs to the end. `hook` runs the template's provisioners over the builder's communicator.
    ///
    /// # Errors
    /// Whatever failed first; a cancelled failure after cancellation.
    async fn build(
        &self,
        cx: &TaskContext,
        hook: Arc<dyn ProvisionHook>,
    ) -> Result<Option<Arc<dyn Artifact>>, Failure>;
}

/// How a builder has its guest provisioned.
#[async_trait]
pub trait ProvisionHook: Send + Sync {
    /// Runs the provisioners in order.
    ///
    /// # Errors
    /// The first provisioner's failure that isn't to be passed over.
    async fn provision(
        &self,
        communicator: Arc<dyn Communicator>,
        generated: &GeneratedData,
    ) -> Result<(), Failure>;

    /// Runs the error-cleanup-provisioner, if there is one. Called while undoing the provision step, when any
    /// step had failed and the task wasn't cancelled.
    ///
    /// # Errors
    /// The cleanup provisioner's failure.
    async fn clean_up(
        &self,
        communicator: Arc<dyn Communicator>,
        generated: &GeneratedData,
    ) -> Result<(), Failure>;
}
