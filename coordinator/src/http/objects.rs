//! Objects over HTTP, for farms whose store is a directory or memory: the same contract as a cloud's signed
//! links, answered by the coordinator. With a cloud this is never asked for anything.
//!
//! ```text
//!   PUT /objects/KEY?…   link ─► length known and right ─► written beside, hashed ─► right? visible : dropped
//!   GET /objects/KEY?…   link ─► whole, or one range (206)
//! ```

use std::ops::Range;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, StreamExt};
use kiln_proto::Bytes;
use kiln_proto::transport::Arrival;
use ring::digest;

use crate::store::link::LinkQuery;
use crate::store::{Access, Links, Store, StoreError};

/// How long a client may send nothing in the middle of an object.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a request is not answered with an object.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self(status, text.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Key(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, kiln_plan::fault::chain(&error))
    }
}

/// The routes below `/objects/`, for links that `links` signed.
pub fn router(store: Store, links: Links) -> Router {
    Router::new().route("/objects/{*key}", get(read).put(write)).with_state(Objects { store, links })
}

#[derive(Clone, Debug)]
struct Objects {
    store: Store,
    links: Links,
}

impl Objects {
    /// What a link allows. Whoever has a good one may stay for as long as it takes.
    fn allowed(&self, request: &Parts, key: &str) -> Result<Access, Refusal> {
        let query = LinkQuery::parse(request.uri.query().unwrap_or_default());
        let checked = self.links.check(request.method.as_str(), key, query);
        let access = checked.map_err(|refused| Refusal::new(StatusCode::FORBIDDEN, refused.to_string()))?;
        if let Some(arrival) = request.extensions.get::<Arrival>() {
            arrival.vouch();
        }
        Ok(access)
    }
}

async fn write(
    State(objects): State<Objects>,
    Path(key): Path<String>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let (request, body) = request.into_parts();
    let Access::Write { size, sha256 } = objects.allowed(&request, &key)? else {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the link doesn't allow to write"));
    };
    let told =
        request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match told {
        Some(told) if told == size => {}
        Some(told) => {
            let text = format!("the link is for {size} bytes, the request has {told}");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        None => return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "tell the length")),
    }
    let mut writing = objects.store.write(&key).await?;
    let pieces = body.into_data_stream();
    match receive(pieces, size, &mut writing).await {
        Ok(digest) if digest == sha256 => {
            writing.finish().await?;
            Ok(StatusCode::OK)
        }
        outcome => {
            if let Err(error) = writing.abort().await {
                tracing::warn!(
                    error = kiln_plan::fault::chain(&error),
                    "an unfinished object was left behind"
                );
            }
            let damaged = || Refusal::new(StatusCode::BAD_REQUEST, "the content is not what the link is for");
            Err(outcome.err().unwrap_or_else(damaged))
        }
    }
}

/// Writes what comes, and returns its SHA-256.
async fn receive(
    mut pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    size: u64,
    writing: &mut crate::store::Writing,
) -> Result<[u8; 32], Refusal> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut came = 0;
    loop {
        let piece = tokio::time::timeout(SILENCE, pieces.next()).await.map_err(|_| {
            let text = format!("nothing came for {} s", SILENCE.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, text)
        })?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the request broke off"))?;
        came += piece.len() as u64;
        if came > size {
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "more came than the link is for"));
        }
        hash.update(&piece);
        writing.push(piece).await?;
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    Ok(sha256)
}

async fn read(
    State(objects): State<Objects>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (request, _) = request.into_parts();
    // A HEAD comes here as well, and needs a link for it.
    objects.allowed(&request, &key)?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, "there is no such object");
    let range = match request.headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        None => None,
        Some(text) => {
            let facts = objects.store.head(&key).await?.ok_or_else(none)?;
            let text = one_range(text, facts.size);
            Some(text.ok_or_else(|| {
                Refusal::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    format!("the object has {} bytes", facts.size),
                )
            })?)
        }
    };
    let partial = range.is_some();
    let reading = objects.store.read(&key, range).await?.ok_or_else(none)?;
    let (range, size) = (reading.range, reading.facts.size);
    let mut response = Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_LENGTH, range.end - range.start);
    if partial {
        let place = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        response = response.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, place);
    }
    let answer = response.body(Body::from_stream(reading.bytes));
    answer.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The one range of a `Range` header (RFC 9110, 14.1.2); `None` when it has several or lies outside.
fn one_range(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(suffix.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?.min(size),
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood() {
        for (text, expected) in [
            ("bytes=0-3", Some(0..4)),
            ("bytes=4-", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=10-", None),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-0", None),
            ("lines=0-1", None),
            ("bytes=0-18446744073709551615", None),
        ] {
            assert_eq!(one_range(text, 10), expected, "{text}");
        }
    }
}
