//! Who may ask what over HTTP: the same callers as over gRPC, and mostly people with tokens.
//!
//! | route | takes |
//! |---|---|
//! | `GET /v1/…` | viewer |
//! | `POST /v1/builds/{build}/cancel` | builder |
//! | `POST /v1/agents/{agent}/…` | operator of all projects |

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use axum::middleware::Next;
use kiln_model::Role;
use kiln_proto::{Code, Problem};

use super::{Refused, Shared};
use crate::identity::Need;
use crate::identity::caller::{Gatekeeper, Identified};

/// What a route takes; `None` for one that isn't there.
fn need(method: &Method, path: &str) -> Option<Need> {
    match *method {
        Method::GET | Method::HEAD => Some(Need::Role(Role::Viewer)),
        Method::POST if path.starts_with("/v1/builds/") => Some(Need::Role(Role::Builder)),
        Method::POST => Some(Need::FarmRole(Role::Operator)),
        _ => None,
    }
}

/// Lets in whom the table lets in, and says to the route who it is.
pub(super) async fn admit(
    State(coordinator): Shared,
    mut request: Request,
    next: Next,
) -> Result<Response<Body>, Refused> {
    let gatekeeper = Gatekeeper(coordinator);
    let known = request.extensions().get::<Identified>().cloned().unwrap_or_default();
    let act = format!("{} {}", request.method(), request.uri().path());
    let changes = request.method() == Method::POST;
    let need = need(request.method(), request.uri().path());
    let admitted = need
        .map_or_else(|| Err(Problem::new(Code::NotFound, "there is no such route")), |need| known.may(need));
    if let Err(problem) = admitted {
        gatekeeper.write(&known, &act, None, Err(&problem));
        return Err(problem.into());
    }
    request.extensions_mut().insert(known.caller.clone());
    let response = next.run(request).await;
    if changes {
        let status = response.status();
        let refused = Problem::new(Code::Refused, format!("answered with {status}"));
        gatekeeper.write(&known, &act, None, if status.is_success() { Ok(()) } else { Err(&refused) });
    }
    Ok(response)
}
