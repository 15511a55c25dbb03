//! Passes requests on to the leader, in front of all services.
//!
//! ```text
//!   agent, person ──► this coordinator ── leads? ──► its services
//!                            │
//!                            ├── another leads: the whole request goes there, streams, headers, trailers,
//!                            │   with the caller's name
//!                            └── nobody leads in time, or it was passed on once: unavailable
//! ```
//!
//! While nobody leads, or the leader doesn't answer, a request waits for the next one ([`waiting`]), up to
//! [`LEADER_PATIENCE`]: then it goes there at once, where it would come late by having been turned away again and again.
//!
//! Only the leader serves, because only it has what lies in memory. A stream that is passed on ends when the leadership
//! changes or this coordinator stops, so that whoever is at its other end comes again and finds the new leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use kiln_proto::peer::{CALLER_HEADER, FORWARDED_HEADER};
use kiln_proto::transport::{Arrival, Peer};
use kiln_proto::{Code, Problem};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::header::HOST;
use tonic::codegen::http::{HeaderValue, Request, Response, Version};
use tower::{Layer, Service, ServiceExt};

mod ending;
mod waiting;

pub(crate) use self::waiting::waiting;

use self::ending::Ending;
use crate::dialect::Dialect;
use crate::ledger::{Leadership, Ledger, Purpose};

/// What each coordinator answers for itself, whoever leads.
const LOCAL: [&str; 8] = [
    "/kiln.v1.Peer/",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/openapi.json",
    "/objects/",
];

/// Connections to the leader that share what is passed on, so that one busy stream doesn't hold up all the others.
const CONNECTIONS: u8 = 4;

/// Who is asking, as the header value in which it is told to the leader. Whoever identifies callers puts it into a
/// request's extensions before this layer; the leader takes it out of [`CALLER_HEADER`] again.
#[derive(Clone, Debug)]
pub(crate) struct CallerName(pub(crate) HeaderValue);

/// How long a request waits for a leader. An election takes about two seconds, and nobody gives up a request so soon.
const LEADER_PATIENCE: Duration = Duration::from_secs(4);

/// What a request is told that was passed on to a coordinator which leads no more, or not yet.
const CHANGING: &str = "the leader of the farm is changing at the moment; try again";

/// Puts [`Forwarding`] in front of services.
#[derive(Clone, Debug)]
pub(crate) struct ForwardLayer {
    ledger: Ledger,
    /// Ends what is passed on.
    closing: CancellationToken,
    turn: Arc<AtomicU8>,
}

impl ForwardLayer {
    pub(crate) fn new(ledger: Ledger, closing: CancellationToken) -> Self {
        Self { ledger, closing, turn: Arc::default() }
    }
}

impl<S> Layer<S> for ForwardLayer {
    type Service = Forwarding<S>;

    fn layer(&self, services: S) -> Forwarding<S> {
        Forwarding { services, layer: self.clone() }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding<S> {
    services: S,
    layer: ForwardLayer,
}

impl<S> Service<Request<Body>> for Forwarding<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let passed_on = passed_on(&mut request);
        let local = is_local(&request);
        // The one that was found ready serves; its clone will be asked whether it is ready.
        let clone = self.services.clone();
        let services = std::mem::replace(&mut self.services, clone);
        if local {
            return Box::pin(services.oneshot(request));
        }
        let layer = self.layer.clone();
        let leadership = layer.ledger.leadership();
        let now = leadership.borrow().clone();
        match now {
            Leadership::Leads { .. } => Box::pin(services.oneshot(request)),
            Leadership::Follows { address, .. } if !passed_on => {
                Box::pin(async move { Ok(layer.pass_on(request, leadership, &address).await) })
            }
            Leadership::Follows { .. } => refuse(&request, CHANGING),
            Leadership::Nobody => refuse(&request, "no coordinator leads the farm at the moment; try again"),
        }
    }
}

fn refuse<E: Send + 'static>(
    request: &Request<Body>,
    why: &str,
) -> BoxFuture<'static, Result<Response<Body>, E>> {
    let refused = unavailable(Dialect::of(request), why.to_owned());
    Box::pin(std::future::ready(Ok(refused)))
}

fn is_local(request: &Request<Body>) -> bool {
    LOCAL.iter().any(|service| request.uri().path().starts_with(service))
}

/// Whether a coordinator passed the request on. From anybody else what says so is removed, and so is what only a
/// coordinator may say.
fn passed_on(request: &mut Request<Body>) -> bool {
    let peer = request.extensions().get::<Arrival>().map(|arrival| arrival.peer);
    let from_coordinator = matches!(peer, Some(Peer::Coordinator(_)));
    let headers = request.headers_mut();
    if !from_coordinator {
        headers.remove(CALLER_HEADER);
        headers.remove(FORWARDED_HEADER);
    }
    headers.contains_key(FORWARDED_HEADER)
}

fn unavailable(dialect: Dialect, told: String) -> Response<Body> {
    dialect.refuse(Problem::new(Code::Unavailable, told))
}

impl ForwardLayer {
    async fn pass_on(
        &self,
        mut request: Request<Body>,
        mut leadership: watch::Receiver<Leadership>,
        address: &str,
    ) -> Response<Body> {
        let dialect = Dialect::of(&request);
        let caller = request.extensions_mut().remove::<CallerName>();
        // It may have come in another version of HTTP, and goes to another host.
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.remove(HOST);
        headers.insert(FORWARDED_HEADER, HeaderValue::from(self.ledger.id()));
        if let Some(CallerName(name)) = caller {
            headers.insert(CALLER_HEADER, name);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let answered = CancellationToken::new();
        let request = request.map(|body| Body::new(Ending::question(body, answered.clone())));
        let question = answered.drop_guard();
        let answered = async {
            let channel = self.ledger.peers().channel(address, Purpose::Forward(turn)).await;
            let mut channel = channel.map_err(|error| kiln_plan::fault::chain(&error))?;
            let ready = channel.ready().await.map_err(|error| kiln_plan::fault::chain(&error))?;
            ready.call(request).await.map_err(|error| kiln_plan::fault::chain(&error))
        };
        let (seen, closing) = (leadership.borrow().clone(), self.closing.clone());
        let over = async move {
            tokio::select! {
                // When the sender is gone, so is the ledger.
                _ = leadership.wait_for(|now| *now != seen) => "the leader of the farm has changed; connect again",
                () = closing.cancelled() => "this coordinator is about to stop",
            }
        };
        let mut over: BoxFuture<'static, &'static str> = Box::pin(over);
        let answered = tokio::select! {
            answered = answered => answered,
            why = &mut over => return unavailable(dialect, why.into()),
        };
        match answered {
            Ok(response) => response.map(|body| Body::new(Ending::answer(body, over, question))),
            Err(error) => {
                // Whoever asks again now would only find the same.
                let _ = tokio::time::timeout(LEADER_PATIENCE, over).await;
                unavailable(dialect, format!("the leader of the farm could not be reached: {error}"))
            }
        }
    }
}
