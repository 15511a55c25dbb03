//! The step in which a builder has its guest provisioned, and what undoing it means: the
//! error-cleanup-provisioner, which must see the guest as the failure left it, before any other undo.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{
    Communicator, Done, Ending, GeneratedData, Pipeline, ProvisionHook, Step, TaskContext, Undo,
};
use kiln_plan::Failure;

/// What messages call the step.
const NAME: &str = "provision the guest";

/// The most that an error-cleanup-provisioner may take, whatever its own timeout says.
const CLEANUP: Duration = Duration::from_secs(30 * 60);

/// Runs the provisioners over `communicator`. From here on, any failed step makes the error-cleanup-provisioner run when
/// the pipeline ends.
///
/// # Errors
/// The first provisioner's failure that isn't to be passed over.
pub async fn provision(
    pipeline: &mut Pipeline,
    hook: Arc<dyn ProvisionHook>,
    communicator: Arc<dyn Communicator>,
    generated: GeneratedData,
) -> Result<(), Failure> {
    let step = StepProvision { hook, communicator, generated };
    pipeline.guard(NAME, step.clone());
    pipeline.step(&step).await
}

#[derive(Clone)]
struct StepProvision {
    hook: Arc<dyn ProvisionHook>,
    communicator: Arc<dyn Communicator>,
    generated: GeneratedData,
}

impl fmt::Debug for StepProvision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepProvision")
    }
}

#[async_trait]
impl Step for StepProvision {
    type Output = ();

    fn name(&self) -> &'static str {
        NAME
    }

    async fn run(&self, _: &TaskContext) -> Result<Done<()>, Failure> {
        self.hook.provision(self.communicator.clone(), &self.generated).await.map(Done::plain)
    }
}

#[async_trait]
impl Undo for StepProvision {
    async fn undo(self: Box<Self>, cx: &TaskContext, ending: Ending) {
        if ending != Ending::Failed {
            return;
        }
        if let Err(failure) = self.hook.clean_up(self.communicator.clone(), &self.generated).await {
            cx.reporter.error(format!("The cleanup provisioner failed: {failure}"));
        }
    }

    fn deadline(&self) -> Duration {
        CLEANUP
    }

    fn is_provisioning(&self) -> bool {
        true
    }
}
