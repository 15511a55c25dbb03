//! HTTP/1.1 for those who don't speak HTTP/2: on the farm's own port, by TLS, with everything; and, where the settings want
//! it, on a port without TLS, with what is no secret.
//!
//! Whoever is slow with the headers of a request is dropped, and the port without TLS has so many connections and no more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use kiln_proto::transport::Connection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service, ServiceExt as _};

use crate::Coordinator;
use crate::forward::ForwardLayer;
use crate::identity::caller::Gatekeeper;
use crate::identity::layer::IdentifyLayer;

/// How long the headers of a request may take, and the next request of a connection.
const HEADERS_LIMIT: Duration = Duration::from_secs(10);

/// Connections without TLS.
const PLAIN: usize = 1_024;

/// The pause when the system lends no more sockets.
const PAUSE: Duration = Duration::from_millis(50);

type Answering = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Serves HTTP/1.1 over TLS.
#[derive(Clone)]
pub(crate) struct Old {
    coordinator: Arc<Coordinator>,
    service: Answering,
}

impl Old {
    /// All routes, behind the layers that stand before those of HTTP/2 as well: who asks, and who leads.
    pub(crate) fn new(coordinator: &Arc<Coordinator>) -> Self {
        let closing = coordinator.lifecycle.closing().clone();
        let routes = super::whole(coordinator);
        let routes = tower::service_fn(move |request: Request<Body>| answer(routes.clone(), request));
        let routes = ForwardLayer::new(coordinator.ledger.clone(), closing).layer(routes);
        let service = IdentifyLayer(Gatekeeper(Arc::clone(coordinator))).layer(routes);
        Self { coordinator: Arc::clone(coordinator), service: BoxCloneSyncService::new(service) }
    }

    /// Answers one connection, until it or the coordinator closes.
    pub(crate) fn serve(&self, connection: Connection) {
        let arrival = connection.arrival();
        let service = self.service.clone().map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(arrival.clone());
            request
        });
        let (lifecycle, closing) =
            (&self.coordinator.lifecycle, self.coordinator.lifecycle.closing().clone());
        lifecycle.servers().spawn(closing.run_until_cancelled_owned(serve(connection, service)));
    }
}

/// What the routes answer.
fn answer(
    routes: axum::Router,
    request: Request<Body>,
) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
    Box::pin(async move { Ok(routes.oneshot(request).await?.map(Body::new)) })
}

/// Answers one connection, until it closes.
async fn serve<S>(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let service = service.map_request(|request: Request<_>| request.map(Body::new));
    let mut builder = Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
    let served = builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
    if let Err(error) = served.await {
        tracing::debug!(error, "an HTTP connection broke off");
    }
}

/// Answers whoever comes without TLS, until the coordinator closes. Who is one too many is closed at once.
pub(crate) fn serve_plain(coordinator: &Arc<Coordinator>, listener: TcpListener) {
    let routes = super::open(coordinator);
    let service = tower::service_fn(move |request: Request<Body>| answer(routes.clone(), request));
    let (closing, places) = (coordinator.lifecycle.closing().clone(), Arc::new(Semaphore::new(PLAIN)));
    let servers = coordinator.lifecycle.servers().clone();
    let accept = {
        let closing = closing.clone();
        async move {
            loop {
                let tcp = match listener.accept().await {
                    Ok((tcp, _)) => tcp,
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be taken in; trying again");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (service, closing) = (service.clone(), closing.clone());
                servers.spawn(async move {
                    closing.run_until_cancelled(serve(tcp, service)).await;
                    drop(place);
                });
            }
        }
    };
    coordinator.lifecycle.servers().spawn(closing.run_until_cancelled_owned(accept));
}
