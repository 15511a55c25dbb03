//! Two layers in front of the services: the outer one says who calls, the inner one lets in whom the table lets in.
//! Between them lies what passes requests on to the leader, so that only the leader decides.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use kiln_proto::transport::Arrival;
use kiln_proto::{Code, Problem};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::audit::Act;
use super::caller::{Caller, Gatekeeper, Identified};
use super::rights::{self, Effect, Row};
use super::stream::Guarded;
use crate::dialect::Dialect;
use crate::forward::CallerName;
use crate::http;

/// Put into a response's extensions by a service: to what its method did something, for the audit.
#[derive(Clone, Debug)]
pub(crate) struct Target(String);

/// A response that tells the audit what it was about.
pub(crate) fn about<T>(reply: T, target: String) -> tonic::Response<T> {
    let mut response = tonic::Response::new(reply);
    response.extensions_mut().insert(Target(target));
    response
}

/// Says who calls.
#[derive(Clone, Debug)]
pub(crate) struct IdentifyLayer(pub(crate) Gatekeeper);

/// See [`IdentifyLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Identify<S> {
    gatekeeper: Gatekeeper,
    inner: S,
}

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify { gatekeeper: self.0.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for Identify<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let arrival = request.extensions().get::<Arrival>();
        let known = self.gatekeeper.identify(arrival, request.headers());
        let name = HeaderValue::try_from(known.caller.to_header()).expect("it is plain ASCII");
        request.extensions_mut().insert(CallerName(name));
        request.extensions_mut().insert(known);
        self.inner.call(request)
    }
}

/// Lets in whom the table lets in.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeLayer(pub(crate) Gatekeeper);

/// See [`AuthorizeLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Authorize<S> {
    gatekeeper: Gatekeeper,
    inner: S,
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { gatekeeper: self.0.clone(), inner }
    }
}

impl<S> Service<Request<Body>> for Authorize<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if http::is_ours(path) {
            // Its routes have a table of their own.
            return Box::pin(self.inner.call(request));
        }
        let known = request.extensions().get::<Identified>();
        let row = match self.gatekeeper.admit(known, path) {
            Ok(row) => row,
            Err(problem) => {
                return Box::pin(std::future::ready(Ok(Dialect::of(&request).refuse(problem))));
            }
        };
        let known = known.cloned();
        let answer = self.inner.call(request);
        let Some(known) = known.filter(|known| known.caller != Caller::InProcess) else {
            return Box::pin(answer);
        };
        let gatekeeper = self.gatekeeper.clone();
        match row.effect {
            Effect::Reads => Box::pin(answer),
            Effect::Changes => Box::pin(async move {
                let response = answer.await?;
                gatekeeper.note(&known, row, &response);
                Ok(response)
            }),
            Effect::Streams => Box::pin(async move {
                let guard = |body| Body::new(Guarded::new(gatekeeper, known, row, body));
                Ok(answer.await?.map(guard))
            }),
        }
    }
}

fn name(path: &str) -> &str {
    path.strip_prefix("/kiln.v1.").unwrap_or(path)
}

impl Gatekeeper {
    /// The row of a method that this caller may call.
    fn admit(&self, known: Option<&Identified>, path: &str) -> Result<&'static Row, Problem> {
        let nobody = Identified::default();
        let known = known.unwrap_or(&nobody);
        let admitted = match rights::of(path) {
            Some(row) => known.may(row.need).map(|()| row),
            None => Err(Problem::new(Code::NotFound, format!("there is no method {}", printable(path)))),
        };
        admitted.inspect_err(|problem| self.write(known, &printable(name(path)), None, Err(problem)))
    }

    /// Notes in the audit what became of a call.
    fn note(&self, known: &Identified, row: &Row, response: &Response<Body>) {
        let problem = Status::from_header_map(response.headers())
            .filter(|status| status.code() != tonic::Code::Ok)
            .map(Problem::from);
        let target = response.extensions().get::<Target>().map(|target| target.0.as_str());
        self.write(known, name(row.path), target, problem.as_ref().map_or(Ok(()), Err));
    }

    /// Notes in the audit that a stream ended because its caller may not do what it tried.
    pub(super) fn note_refusal(&self, known: &Identified, row: &Row, problem: &Problem) {
        self.write(known, name(row.path), None, Err(problem));
    }

    pub(crate) fn write(
        &self,
        known: &Identified,
        act: &str,
        target: Option<&str>,
        outcome: Result<(), &Problem>,
    ) {
        let Identified { caller, from, .. } = known;
        let at = self.0.clock.now();
        self.0.identity.audit().write(&Act { at, caller, from: *from, act, target, outcome });
    }
}

/// What a stranger wrote, fit for a file of lines.
fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(100).collect()
}
