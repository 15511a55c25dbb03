//! How a coordinator stops: who must be gone before whom.
//!
//! ```text
//!   Serving ──► Closing                ──► Quiet                 ──► Stopped
//!               no new submissions,        reconcilers are gone,     the ledger is closed,
//!               streams end, agents        nothing is proposed       everything is on disk
//!               keep their guests
//! ```

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Coordinator;

/// Where a coordinator stands between start and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It works.
    #[default]
    Serving,
    /// It takes nothing new, and streams end.
    Closing,
    /// It proposes nothing any more.
    Quiet,
    /// It is gone.
    Stopped,
}

/// The phase, and the tasks that end with it.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
    closing: CancellationToken,
    quiet: CancellationToken,
    servers: TaskTracker,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// Whether new submissions are refused.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Cancelled when streams shall end.
    pub(crate) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Cancelled when reconcilers shall end.
    pub(crate) const fn quiet(&self) -> &CancellationToken {
        &self.quiet
    }

    /// Servers and streams: gone before anything they use.
    pub(crate) const fn servers(&self) -> &TaskTracker {
        &self.servers
    }

    /// Reconcilers and the ledger's proposer.
    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Tells everything to end, without waiting.
    pub(crate) fn abandon(&self) {
        self.closing.cancel();
        self.quiet.cancel();
    }

    fn enter(&self, phase: Phase) {
        tracing::debug!(?phase, "the coordinator stops");
        self.phase.send_replace(phase);
    }
}

/// Goes through the phases.
pub(crate) async fn shut_down(coordinator: &Coordinator, grace: Duration) {
    let lifecycle = &coordinator.lifecycle;
    lifecycle.enter(Phase::Closing);
    lifecycle.closing.cancel();
    settle(&lifecycle.servers, grace, "streams").await;
    lifecycle.enter(Phase::Quiet);
    lifecycle.quiet.cancel();
    coordinator.ledger.stop().await;
    settle(&lifecycle.tasks, grace, "reconcilers").await;
    lifecycle.enter(Phase::Stopped);
}

async fn settle(tasks: &TaskTracker, grace: Duration, what: &str) {
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "{what} did not end within {} s", grace.as_secs());
    }
}
