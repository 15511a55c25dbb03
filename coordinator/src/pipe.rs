//! The wire of a farm of one: pipes in memory, over which the genuine services are served.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kiln_proto::transport::{Arrival, CONNECTION_WINDOW, STREAM_WINDOW};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Uri};

/// Bytes that a pipe holds before the writer waits.
const PIPE_BYTES: usize = 256 << 10;

/// Connections that may wait to be accepted.
const WAITING_CONNECTIONS: usize = 16;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to connect to the coordinator in this process; it may have stopped")]
pub struct ConnectError(#[source] tonic::transport::Error);

/// The server's end of a pipe, and who is taken to be at the other.
#[derive(Debug)]
pub struct Pipe {
    stream: DuplexStream,
    arrival: Arrival,
}

impl Pipe {
    /// A pipe with somebody at its other end.
    pub const fn new(stream: DuplexStream, arrival: Arrival) -> Self {
        Self { stream, arrival }
    }
}

/// Makes connections to the server at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    accept: mpsc::Sender<Pipe>,
}

/// A dialler, and the connections that it makes as a server accepts them.
pub(crate) fn pipe() -> (Dialler, impl tokio_stream::Stream<Item = io::Result<Pipe>> + Send + 'static) {
    let (accept, accepted) = mpsc::channel(WAITING_CONNECTIONS);
    (Dialler { accept }, ReceiverStream::new(accepted).map(Ok))
}

impl Dialler {
    pub(crate) async fn connect(&self) -> Result<Channel, ConnectError> {
        let accept = self.accept.clone();
        let dial = move |_: Uri| {
            let accept = accept.clone();
            async move {
                let (near, far) = tokio::io::duplex(PIPE_BYTES);
                let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
                accept.send(Pipe::new(far, Arrival::IN_PROCESS)).await.map_err(gone)?;
                Ok::<_, io::Error>(TokioIo::new(near))
            }
        };
        // The address is never looked up; it only has to be one.
        let endpoint = Endpoint::from_static("http://farm.invalid")
            .connect_timeout(CONNECT_LIMIT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        endpoint.connect_with_connector(tower::service_fn(dial)).await.map_err(ConnectError)
    }
}

impl Connected for Pipe {
    type ConnectInfo = Arrival;

    fn connect_info(&self) -> Arrival {
        self.arrival.clone()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
