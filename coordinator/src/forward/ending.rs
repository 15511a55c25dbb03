//! The two halves of what is passed on. The answer ends early, in an orderly way, when there is a reason; and with the
//! answer, however it ends, ends the question, which otherwise would be listened to for as long as its sender lives.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http_body::Frame;
use kiln_proto::{Bytes, Code, Problem};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;
use tonic::codegen::http::HeaderMap;

/// A body, and what ends it.
pub(super) struct Ending {
    body: Body,
    /// Says why, to those who are to be told. `None` when the body came to its end.
    cut: Option<BoxFuture<'static, Option<&'static str>>>,
    /// Ends the other half.
    _other: Option<DropGuard>,
}

impl Ending {
    /// What is asked, until the answer has ended.
    pub(super) fn question(body: Body, answered: CancellationToken) -> Self {
        let cut = async move {
            answered.cancelled().await;
            None
        };
        Self { body, cut: Some(Box::pin(cut)), _other: None }
    }

    /// What is answered; ends with "unavailable" when `cut` is done first and says why.
    pub(super) fn answer(body: Body, cut: BoxFuture<'static, &'static str>, question: DropGuard) -> Self {
        let cut = async move { Some(cut.await) };
        Self { body, cut: Some(Box::pin(cut)), _other: Some(question) }
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
        let Poll::Ready(why) = cut.as_mut().poll(cx) else { return Poll::Pending };
        (this.cut, this.body) = (None, Body::empty());
        let Some(why) = why else { return Poll::Ready(None) };
        let mut trailers = HeaderMap::new();
        let status = Status::from(Problem::new(Code::Unavailable, why));
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() || self.body.is_end_stream()
    }
}
