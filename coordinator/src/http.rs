//! The coordinator over HTTP: what load balancers, Prometheus and scripts ask.
//!
//! | path | who may | tells |
//! |---|---|---|
//! | `/healthz` | anybody | 200 while the process works |
//! | `/readyz` | anybody | 200 while requests are answered: the farm has a leader |
//! | `/metrics` | anybody | OpenMetrics text |
//! | `/v1/…` | bearer token | the JSON API, described by `/v1/openapi.json` |
//!
//! The JSON is that of [`kiln_proto::view`]. What changes something goes the same way as over gRPC, and what comes to a
//! coordinator that doesn't lead is passed on to the leader ([`crate::forward`]), but for health, figures and objects.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use kiln_model::Role;
use kiln_plan::id::BuildId;
use kiln_proto::{Code, Problem, convert};
use serde::Serialize;

mod metrics;
pub mod objects;
mod rights;
mod server;

pub(crate) use metrics::{Export, Meters};
pub(crate) use server::{Old, serve_plain};

use crate::Coordinator;
use crate::identity::Caller;

/// The description of the JSON API.
const OPENAPI: &str = include_str!("http/openapi.json");

type Shared = State<Arc<Coordinator>>;
type Told = Result<Response<Body>, Refused>;

/// What anybody may ask: health, figures, and the objects of a store that is not a cloud's, by signed links.
pub(crate) fn open(coordinator: &Arc<Coordinator>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/openapi.json", get(|| async { json_text(StatusCode::OK, OPENAPI.to_owned()) }))
        .with_state(Arc::clone(coordinator));
    match coordinator.store.links() {
        Some(links) => routes.merge(objects::router(coordinator.store.clone(), links.clone())),
        None => routes,
    }
}

/// All routes: those of [`open`], and the API, which needs a token.
pub(crate) fn whole(coordinator: &Arc<Coordinator>) -> Router {
    let known = axum::middleware::from_fn_with_state(Arc::clone(coordinator), rights::admit);
    open(coordinator).merge(api().layer(known).with_state(Arc::clone(coordinator)))
}

/// Whether a path is one of these routes, or would be: everything else is a method of gRPC.
pub(crate) fn is_ours(path: &str) -> bool {
    ["/v1/", "/objects/"].iter().any(|start| path.starts_with(start))
        || ["/healthz", "/readyz", "/metrics"].contains(&path)
}

/// The answer to a request that is refused.
pub(crate) fn refuse(problem: Problem) -> Response<Body> {
    Refused(problem).into_response()
}

/// The routes that need a token.
fn api() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/v1/farm", get(overview))
        .route("/v1/members", get(members))
        .route("/v1/builds", get(builds))
        .route("/v1/builds/{build}", get(build))
        .route("/v1/builds/{build}/explain", get(explain))
        .route("/v1/builds/{build}/cancel", post(cancel))
        .route("/v1/agents", get(agents))
        .route("/v1/agents/{agent}/drain", post(drain))
        .route("/v1/agents/{agent}/undrain", post(undrain))
}

async fn ready(State(coordinator): Shared) -> Response<Body> {
    match coordinator.readiness() {
        Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(coordinator): Shared) -> Response<Body> {
    let body = coordinator.meters.text(&coordinator);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    reply(StatusCode::OK, kind, body)
}

async fn overview(State(coordinator): Shared) -> Told {
    json(&coordinator.overview())
}

async fn members(State(coordinator): Shared) -> Told {
    json(&coordinator.members())
}

async fn builds(
    State(coordinator): Shared,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Told {
    let query = query.unwrap_or_default();
    let most: u32 = parameter(&query, "most").map_or(Ok(0), |text| {
        text.parse().map_err(|_| Problem::new(Code::Invalid, format!("most={text:?} is no number")))
    })?;
    let running = match parameter(&query, "state") {
        None => false,
        Some("running") => true,
        Some(other) => {
            return Err(Problem::new(Code::Invalid, format!("state={other:?}: only running is known")).into());
        }
    };
    json(&coordinator.builds(&caller, most, running))
}

/// The value of a query's parameter, as it was sent.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

async fn build(
    State(coordinator): Shared,
    Extension(caller): Extension<Caller>,
    Path(build): Path<String>,
) -> Told {
    json(&coordinator.build_view(&caller, build_id(&build)?)?)
}

async fn explain(
    State(coordinator): Shared,
    Extension(caller): Extension<Caller>,
    Path(build): Path<String>,
) -> Told {
    json(&coordinator.explain(&caller, build_id(&build)?)?)
}

async fn cancel(
    State(coordinator): Shared,
    Extension(caller): Extension<Caller>,
    Path(build): Path<String>,
) -> Told {
    let build = build_id(&build)?;
    coordinator.may(&caller, Role::Builder, build)?;
    coordinator.cancel(build).await?;
    Ok(reply(StatusCode::NO_CONTENT, "text/plain", String::new()))
}

async fn agents(State(coordinator): Shared) -> Told {
    json(&coordinator.agents())
}

async fn drain(State(coordinator): Shared, Path(agent): Path<String>) -> Told {
    coordinator.set_draining(&agent, true).await?;
    Ok(reply(StatusCode::NO_CONTENT, "text/plain", String::new()))
}

async fn undrain(State(coordinator): Shared, Path(agent): Path<String>) -> Told {
    coordinator.set_draining(&agent, false).await?;
    Ok(reply(StatusCode::NO_CONTENT, "text/plain", String::new()))
}

fn build_id(text: &str) -> Result<BuildId, Problem> {
    Ok(convert::id("build", text)?)
}

/// A problem, as HTTP tells it: `{"error": "…"}`.
struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let Self(Problem { code, message }) = self;
        let status = match code {
            Code::Invalid => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Refused | Code::Stale => StatusCode::CONFLICT,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unidentified => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
        };
        json_text(status, serde_json::json!({ "error": message }).to_string())
    }
}

fn json(view: &impl Serialize) -> Told {
    let body = serde_json::to_string(view).map_err(|error| Problem::from_error(Code::Internal, &error))?;
    Ok(json_text(StatusCode::OK, body))
}

fn json_text(status: StatusCode, body: String) -> Response<Body> {
    reply(status, "application/json", body)
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    reply(status, "text/plain; charset=utf-8", body)
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
