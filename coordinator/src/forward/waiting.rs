//! Has requests wait while nobody leads. Before anybody asks who makes them: a coordinator that has just begun doesn't know
//! its farm's tokens yet, and one that leads knows all of them.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use super::{LEADER_PATIENCE, is_local};
use crate::ledger::{Leadership, Ledger};

/// Puts [`Waiting`] in front of services.
#[derive(Clone, Debug)]
pub(crate) struct WaitLayer {
    ledger: Ledger,
    closing: CancellationToken,
}

impl WaitLayer {
    /// Nobody waits any more once `closing` is cancelled.
    pub(crate) fn new(ledger: Ledger, closing: CancellationToken) -> Self {
        Self { ledger, closing }
    }

    async fn wait(&self) {
        let mut leadership = self.ledger.leadership();
        tokio::select! {
            biased;
            _ = leadership.wait_for(|now| !matches!(now, Leadership::Nobody)) => {}
            () = self.closing.cancelled() => {}
            () = tokio::time::sleep(LEADER_PATIENCE) => {}
        }
    }
}

impl<S> Layer<S> for WaitLayer {
    type Service = Waiting<S>;

    fn layer(&self, services: S) -> Waiting<S> {
        Waiting { services, layer: self.clone() }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Waiting<S> {
    services: S,
    layer: WaitLayer,
}

impl<S> Service<Request<Body>> for Waiting<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was found ready serves; its clone will be asked whether it is ready.
        let clone = self.services.clone();
        let services = std::mem::replace(&mut self.services, clone);
        if is_local(&request) {
            return Box::pin(services.oneshot(request));
        }
        let layer = self.layer.clone();
        Box::pin(async move {
            layer.wait().await;
            services.oneshot(request).await
        })
    }
}
