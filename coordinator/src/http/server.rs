//! HTTP/1.1 for those who don't speak gRPC: on the farm's own port, by TLS, with everything; and, where the settings want
//! it, on a port without TLS, with what is no secret.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use kiln_proto::transport::Connection;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::Coordinator;

/// How long the headers of a request may take.
const HEADERS_LIMIT: Duration = Duration::from_secs(10);

/// Answers one connection that came in by TLS, until it or the coordinator closes.
pub(crate) fn serve_one(coordinator: &Arc<Coordinator>, routes: &Router, connection: Connection) {
    let arrival = connection.arrival();
    let service = routes.clone().map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(arrival);
        request.map(Body::new)
    });
    let closing = coordinator.lifecycle.closing().clone();
    coordinator.lifecycle.servers().spawn(async move {
        let mut builder = Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
        let served = builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
        tokio::select! {
            served = served => {
                if let Err(error) = served {
                    tracing::debug!(error, "an HTTP connection broke off");
                }
            }
            () = closing.cancelled() => {}
        }
    });
}

/// Answers whoever comes without TLS, until the coordinator closes.
pub(crate) fn serve_plain(coordinator: &Arc<Coordinator>, listener: TcpListener) {
    let routes = super::open(coordinator);
    let closing = coordinator.lifecycle.closing().clone();
    coordinator.lifecycle.servers().spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(closing.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "HTTP is served no more");
        }
    });
}
