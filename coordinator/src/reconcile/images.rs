//! Packs and manifests that no image needs go after a while, and the index of chunks is kept in few objects.

use crate::Coordinator;
use crate::images::collect;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    // What the store could not do now is due again the next time.
    Ok(collect::tend(coordinator).await.unwrap_or_else(|problem| {
        tracing::warn!(%problem, "could not tidy up the object store; will try again");
        0
    }))
}
