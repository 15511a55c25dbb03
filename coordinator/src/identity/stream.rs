//! A stream ends when its caller is no longer believed: an agent that is revoked, a token that is revoked or expires.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame};
use kiln_proto::{Bytes, Code, Problem};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::caller::{Gatekeeper, Identified};
use super::rights::Row;

/// However far away the end of a token is, it is looked at this often.
const LOOK: Duration = Duration::from_secs(3_600);

/// What a service streams, until its caller is no longer believed.
pub(super) struct Guarded {
    /// `None` once it is over.
    inner: Option<Body>,
    unbelieved: BoxFuture<'static, Problem>,
    gatekeeper: Gatekeeper,
    known: Identified,
    row: &'static Row,
}

impl Guarded {
    pub(super) fn new(gatekeeper: Gatekeeper, known: Identified, row: &'static Row, body: Body) -> Self {
        let unbelieved = unbelieved(gatekeeper.clone(), known.clone()).boxed();
        Self { inner: Some(body), unbelieved, gatekeeper, known, row }
    }
}

/// Why a service ended a stream, when that was because its caller may not do what it tried.
fn refusal(trailers: &HeaderMap) -> Option<Problem> {
    let problem = Problem::from(Status::from_header_map(trailers)?);
    matches!(problem.code, Code::Forbidden | Code::Unidentified).then_some(problem)
}

/// Waits until a caller is no longer believed, and says why.
async fn unbelieved(gatekeeper: Gatekeeper, known: Identified) -> Problem {
    let mut changes = gatekeeper.0.identity.revocations();
    loop {
        if let Err(problem) = gatekeeper.still_believes(&known.caller) {
            return problem;
        }
        let left = known.expires.map(|end| end.ms_since(gatekeeper.0.clock.now()));
        let look = left.map_or(LOOK, |ms| Duration::from_millis(ms.max(1)).min(LOOK));
        // Whether something changed or time passed, the state says what holds.
        drop(tokio::time::timeout(look, changes.changed()).await);
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.inner.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(problem) = self.unbelieved.poll_unpin(cx) {
            // Dropping it tells the service that nobody listens any more.
            self.inner = None;
            self.gatekeeper.note_refusal(&self.known, self.row, &problem);
            let mut trailers = HeaderMap::new();
            Status::from(problem).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(cx);
        match &frame {
            Poll::Ready(None | Some(Err(_))) => self.inner = None,
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(refused) = frame.trailers_ref().and_then(refusal) {
                    self.gatekeeper.note_refusal(&self.known, self.row, &refused);
                }
            }
            Poll::Pending => {}
        }
        frame
    }
}
