//! A channel that is taken leave of politely: our end is announced, and what the guest still says is heard out.
//!
//! A channel that is just closed may have bytes under way. They are acknowledged when they come, for a channel that
//! the guest's server has forgotten by then, and dropbear hangs up the whole connection at that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, sink};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long the guest may take to end its side.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Farewell<S: Stream>(Option<S>);

/// What channels are, seen as streams.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

impl<S: Stream> Farewell<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Stream> Drop for Farewell<S> {
    fn drop(&mut self) {
        // Without a runtime the whole connection ends now, and nobody is left to be polite to.
        let (Some(stream), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        runtime.spawn(timeout(PATIENCE, take_leave(stream)));
    }
}

async fn take_leave(mut stream: impl Stream) {
    // A connection that is gone needs no farewell.
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut sink()).await;
}

impl<S: Stream> AsyncRead for Farewell<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl<S: Stream> AsyncWrite for Farewell<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_other_side_is_heard_out() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        drop(Farewell::new(ours));
        let mut nothing = Vec::new();
        let read = timeout(PATIENCE, theirs.read_to_end(&mut nothing)).await;
        assert_eq!(read.expect("our end is announced at once").expect("no error"), 0);
        for _ in 0..10 {
            // More than fits between: somebody must be reading.
            let written = timeout(PATIENCE, theirs.write_all(&[1; 16])).await;
            written.expect("it is read").expect("it is wanted");
        }
    }
}
