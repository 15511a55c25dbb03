//! The bytes below the SSH protocol: the server's first ones, waited for by themselves, and a deadline for each
//! read and write.
//!
//! The first bytes are told apart because something else than the guest may accept the connection: QEMU's user
//! network accepts for a guest that has not booted. Silence there soon leads to another try, whereas a server
//! that has spoken is given all the time that a slow guest needs.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Anything that carries bytes both ways.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// A carrier, whatever it is.
pub(super) type Stream = Box<dyn Carrier>;

/// Why the other side said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error("it said nothing for {} s", .0.as_secs())]
    Quiet(Duration),
    #[error("it hung up at once")]
    Closed(#[source] Option<io::Error>),
}

/// A stream whose other side has begun to speak.
pub(super) struct Wire {
    stream: Stream,
    /// What it said before anybody listened.
    said: Vec<u8>,
    limit: Option<Duration>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Waits for the first bytes. `limit` is for each later read and write.
    pub(super) async fn greeted(
        mut stream: Stream,
        patience: Duration,
        limit: Option<Duration>,
    ) -> Result<Self, Silence> {
        let mut said = vec![0; 256];
        match timeout(patience, stream.read(&mut said)).await {
            Err(_) => Err(Silence::Quiet(patience)),
            Ok(Err(error)) => Err(Silence::Closed(Some(error))),
            Ok(Ok(0)) => Err(Silence::Closed(None)),
            Ok(Ok(n)) => {
                said.truncate(n);
                Ok(Self { stream, said, limit, reading: None, writing: None })
            }
        }
    }

    /// What was said first, as far as it is text.
    pub(super) fn greeting(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(80).collect()
    }
}

/// Passes `poll` on, or the expiry of a deadline that begins with the first wait and ends with any progress.
fn bounded<T>(
    poll: Poll<io::Result<T>>,
    limit: Option<Duration>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    match (poll, limit) {
        (Poll::Pending, Some(limit)) => {
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
            match timer.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            }
        }
        (poll, _) => {
            *timer = None;
            poll
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.said.is_empty() {
            let n = buf.remaining().min(this.said.len());
            buf.put_slice(&this.said[..n]);
            this.said.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let poll = Pin::new(&mut this.stream).poll_read(cx, buf);
        bounded(poll, this.limit, &mut this.reading, cx)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        bounded(poll, this.limit, &mut this.writing, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.stream).poll_flush(cx);
        bounded(poll, this.limit, &mut this.writing, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
