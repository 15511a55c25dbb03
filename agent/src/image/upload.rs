//! Sending one pack until the coordinator has seen it in the store.
//!
//! ```text
//!   name ─► grant ─► PUT ─► finish: is it there? ── yes ─► sent
//!    ▲                │                │ no: the store has lost it
//!    └── after a pause, under another name, a bounded number of times
//! ```

use kiln_proto::image::FinishedPack;
use kiln_proto::{Code, Problem};
use tokio_util::sync::CancellationToken;

use super::PublishError;
use super::client::Client;
use super::pack::FullPack;
use super::transfer::{Transfer, TransferError};

/// Why a try failed that may be repeated.
enum Setback {
    Transfer(TransferError),
    Lost,
}

impl std::fmt::Display for Setback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transfer(error) => f.write_str(&kiln_plan::fault::chain(error)),
            Self::Lost => f.write_str("the object store took a pack and doesn't have it"),
        }
    }
}

/// Sends a pack. What is returned is what the coordinator knows it by.
pub(super) async fn send(
    client: &Client,
    transfer: &Transfer,
    full: FullPack,
    cancel: &CancellationToken,
) -> Result<FinishedPack, PublishError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let work = one_try(client, transfer, &full);
        let result = tokio::select! {
            result = work => result?,
            () = cancel.cancelled() => return Err(PublishError::Cancelled),
        };
        let setback = match result {
            Ok(pack) => return Ok(pack),
            Err(setback) => setback,
        };
        if tries >= transfer.patience.tries {
            return Err(PublishError::Store { tries, last: setback.to_string() });
        }
        tracing::warn!(tries, "a pack could not be sent, trying again: {setback}");
        tokio::select! {
            () = tokio::time::sleep(transfer.patience.pause_after(tries)) => {}
            () = cancel.cancelled() => return Err(PublishError::Cancelled),
        }
    }
}

async fn one_try(
    client: &Client,
    transfer: &Transfer,
    full: &FullPack,
) -> Result<Result<FinishedPack, Setback>, PublishError> {
    let full = full.clone();
    let named =
        tokio::task::spawn_blocking(move || full.named()).await.map_err(|_| PublishError::BrokeOff)?;
    let grant = client.grant(named.pack.facts).await?;
    if let Err(error) = transfer.put(&grant, named.bytes).await {
        return Ok(Err(Setback::Transfer(error)));
    }
    Ok(if client.finish(&named.pack).await? { Ok(named.pack) } else { Err(Setback::Lost) })
}

impl From<Problem> for PublishError {
    fn from(problem: Problem) -> Self {
        match problem.code {
            Code::Stale => Self::Stale(problem.message),
            _ => Self::Coordinator(problem.message),
        }
    }
}
