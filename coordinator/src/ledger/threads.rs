//! The threads that consensus runs on. A daemon's ledger has its own: ten thousand agents that come at the same moment keep
//! the others busy for seconds, a leader whose signs of life wait behind them is replaced, and then all of them come
//! again. The ledger of a farm of one has nobody to convince, and shares the threads of its process.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// One applies entries and one speaks with the others.
const OWN: usize = 2;

/// Where the ledger's tasks run. Clones are the same; the last one that goes ends the threads.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    handle: Handle,
    _own: Option<Arc<Own>>,
}

/// A runtime that may go while another runs, whose thread must not wait for it.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Threads {
    /// The threads of whoever asks.
    pub(super) fn shared() -> Self {
        Self { handle: Handle::current(), _own: None }
    }

    /// Threads that nobody else has.
    ///
    /// # Errors
    /// When the system lends no more threads.
    pub(super) fn own() -> std::io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(OWN).thread_name("ledger").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), _own: Some(Arc::new(Own(Some(runtime)))) })
    }

    /// For spawning.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}
