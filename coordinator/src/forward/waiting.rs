//! Has requests wait while nobody leads. Before anybody asks who makes them: a coordinator that has just begun doesn't know
//! its farm's tokens yet, and one that leads knows all of them.

use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tower::BoxError;
use tower::filter::{AsyncFilterLayer, AsyncPredicate};

use super::{LEADER_PATIENCE, is_local};
use crate::ledger::{Leadership, Ledger};

/// What to put in front of services. No request waits any more once `closing` is cancelled, and none is refused here.
pub(crate) fn waiting(
    ledger: Ledger,
    closing: CancellationToken,
) -> AsyncFilterLayer<
    impl AsyncPredicate<Request<Body>, Request = Request<Body>, Future: Send + 'static> + Clone + Send + 'static,
> {
    AsyncFilterLayer::new(move |request: Request<Body>| {
        let (ledger, closing) = (ledger.clone(), closing.clone());
        async move {
            if !is_local(&request) {
                until_somebody_leads(&ledger, &closing).await;
            }
            Ok::<_, BoxError>(request)
        }
    })
}

async fn until_somebody_leads(ledger: &Ledger, closing: &CancellationToken) {
    let mut leadership = ledger.leadership();
    tokio::select! {
        biased;
        _ = leadership.wait_for(|now| !matches!(now, Leadership::Nobody)) => {}
        () = closing.cancelled() => {}
        () = tokio::time::sleep(LEADER_PATIENCE) => {}
    }
}
