//! Running a plan's provisioners over a builder's communicator.
//!
//! What the core does around each, from the inside out, as in Packer:
//!
//! ```text
//!   the provisioner, its config finished anew ─► pause *or* timeout (pause wins) ─► retries ─► continue_on_error ─► debug pause
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::pipeline;
use kiln_component::{Communicator, GeneratedData, ProvisionContext, ProvisionHook, TaskContext};
use kiln_lang::duration::in_go_syntax;
use kiln_plan::{Failure, Fault, ProvisionerPlan};
use tokio_util::sync::CancellationToken;

use super::finish_config::Moment;
use super::make::{self, Maker};
use super::run_values;
use crate::catalog::Factories;

/// How long a provisioner may take to end after its cancellation. One that needs longer is dropped.
const STUBBORN: Duration = Duration::from_secs(60);

/// The provisioners of a task, for its builder to call.
#[derive(Debug)]
pub(super) struct Provisioning {
    cx: TaskContext,
    factories: Arc<Factories>,
}

impl Provisioning {
    pub(super) fn new(cx: TaskContext, factories: Arc<Factories>) -> Self {
        Self { cx, factories }
    }

    /// Runs `plans` in order; the first failure that isn't passed over ends it.
    async fn run_all(
        &self,
        cx: &TaskContext,
        plans: impl Iterator<Item = &ProvisionerPlan>,
        communicator: Arc<dyn Communicator>,
        told: &GeneratedData,
    ) -> Result<(), Failure> {
        let generated = run_values::of_guest(&cx.plan, told);
        let cx = cx.with_reporter(cx.reporter.hiding(run_values::secrets(&generated)));
        for plan in plans {
            if cx.cancel.is_cancelled() {
                return Err(Failure::cancelled());
            }
            let one = Wrapped {
                cx: &cx,
                plan,
                factories: &self.factories,
                communicator: &communicator,
                generated: &generated,
            };
            // The outermost voice doesn't know the guest's secrets.
            one.run().await.map_err(|f| Failure { message: cx.reporter.redact(&f.message), ..f })?;
        }
        Ok(())
    }
}

#[async_trait]
impl ProvisionHook for Provisioning {
    async fn provision(
        &self,
        communicator: Arc<dyn Communicator>,
        generated: &GeneratedData,
    ) -> Result<(), Failure> {
        self.run_all(&self.cx, self.cx.plan.provisioners.iter(), communicator, generated).await
    }

    async fn clean_up(
        &self,
        communicator: Arc<dyn Communicator>,
        generated: &GeneratedData,
    ) -> Result<(), Failure> {
        self.cx.reporter.say("Provisioning step had errors: Running the cleanup provisioner, if present...");
        // Part of undoing, which doesn't listen to the task's cancellation.
        let calm = self.cx.with_cancel(CancellationToken::new());
        self.run_all(&calm, self.cx.plan.error_cleanup.iter(), communicator, generated).await
    }
}

/// One provisioner with what the core does around it.
struct Wrapped<'a> {
    cx: &'a TaskContext,
    plan: &'a ProvisionerPlan,
    factories: &'a Factories,
    communicator: &'a Arc<dyn Communicator>,
    generated: &'a GeneratedData,
}

impl Wrapped<'_> {
    async fn run(&self) -> Result<(), Failure> {
        pipeline::pause(self.cx, "Pausing before the next provisioner .").await;
        let step = format!("provision by {}", self.plan.component.name);
        match self.cx.reporter.step(step, self.with_retries()).await {
            Err(failure) if self.plan.continue_on_error && !self.is_over(&failure) => {
                let words = format!("Warning: Provisioner failed with {:?}, continuing", failure.message);
                self.cx.reporter.say(words);
                Ok(())
            }
            result => result,
        }
    }

    /// Whatever the later tries fail with, the first failure is the one that is told.
    async fn with_retries(&self) -> Result<(), Failure> {
        let Err(first) = self.paused_or_timed().await else { return Ok(()) };
        for left in (1..=self.plan.max_retries).rev() {
            if self.is_over(&first) {
                return Err(first);
            }
            let tries = format!("retrying with {left} trie(s) left");
            self.cx.reporter.say(format!("Provisioner failed with {:?}, {tries}", first.message));
            match self.paused_or_timed().await {
                Ok(()) => return Ok(()),
                Err(failure) if self.is_over(&failure) => return Err(failure),
                Err(_) => {}
            }
        }
        if self.plan.max_retries > 0 {
            self.cx.reporter.say("retry limit reached.");
        }
        Err(first)
    }

    async fn paused_or_timed(&self) -> Result<(), Failure> {
        let (pause, timeout) = (self.plan.pause_before, self.plan.timeout);
        if !pause.is_zero() {
            let pause = pause.max_zero();
            self.cx.reporter.say(format!("Pausing {} before the next provisioner...", in_go_syntax(pause)));
            tokio::select! {
                () = self.cx.cancel.cancelled() => return Err(Failure::cancelled()),
                () = tokio::time::sleep(pause) => {}
            }
            return self.once(self.cx).await;
        }
        if timeout.is_zero() {
            return self.once(self.cx).await;
        }
        self.timed(timeout.max_zero()).await
    }

    async fn timed(&self, limit: Duration) -> Result<(), Failure> {
        let shown = in_go_syntax(limit);
        self.cx.reporter.say(format!("Setting a {shown} timeout for the next provisioner..."));
        let token = self.cx.cancel.child_token();
        let narrowed = self.cx.with_cancel(token.clone());
        let work = self.once(&narrowed);
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(limit) => {}
        }
        self.cx.reporter.error("Cancelling provisioner after a timeout...");
        token.cancel();
        match work.await {
            Err(failure) if failure.cancelled && !self.cx.cancel.is_cancelled() => {
                let name = &self.plan.component.name;
                let text = format!("the provisioner {name:?} did not end within its timeout of {shown}");
                Err(Failure::new(Fault::Guest, text).hint("raise its timeout, or look at what it waits for"))
            }
            result => result,
        }
    }

    /// Runs it once, its config finished with the values of the guest as it is now.
    async fn once(&self, cx: &TaskContext) -> Result<(), Failure> {
        let maker = Maker { plan: &cx.plan, factories: self.factories };
        let made = maker.provisioner(&self.plan.component, Moment::Running(self.generated));
        let (provisioner, _told_by_the_check) = made.map_err(|found| make::failure(&found))?;
        let context =
            ProvisionContext { task: cx, communicator: self.communicator.clone(), generated: self.generated };
        let work = provisioner.provision(&context);
        tokio::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = cx.cancel.cancelled() => {}
        }
        let ended = tokio::time::timeout(STUBBORN, work).await;
        ended.unwrap_or_else(|_| Err(self.stubborn()))
    }

    fn stubborn(&self) -> Failure {
        let name = &self.plan.component.name;
        self.cx.reporter.error(format!("The provisioner {name:?} does not react to its cancellation."));
        Failure::cancelled()
    }

    /// Whether the task itself is over, so that nothing is tried again.
    fn is_over(&self, failure: &Failure) -> bool {
        self.cx.cancel.is_cancelled() || failure.cancelled
    }
}
