//! The body of an answer that ends early, in an orderly way, when something happens.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http_body::Frame;
use kiln_proto::{Bytes, Code, Problem};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;
use tonic::codegen::http::HeaderMap;

/// A body, and what ends it.
pub(super) struct Ending {
    body: Body,
    /// `None` when it came to its end.
    cut: Option<BoxFuture<'static, ()>>,
}

impl Ending {
    /// A body that ends with "unavailable" when `cut` is done first.
    pub(super) fn new(body: Body, cut: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { body, cut: Some(Box::pin(cut)) }
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(cut) = &mut this.cut else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if cut.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.cut = None;
        let told = Problem::new(Code::Unavailable, "the leader of the farm has changed; connect again");
        let mut trailers = HeaderMap::new();
        let status = Status::from(told);
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() || self.body.is_end_stream()
    }
}
