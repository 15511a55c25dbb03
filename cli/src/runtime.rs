//! The runtime that a command's asynchronous work runs on.

use std::time::Duration;

/// Runs work on all processors to its end. What it leaves running has `grace` to end, and is left behind then.
///
/// # Errors
/// In words, when this machine has no room for a runtime.
pub(crate) fn run<T>(grace: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(grace);
    Ok(done)
}
