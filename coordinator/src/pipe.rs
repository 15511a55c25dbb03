//! The wire of a farm of one: pipes in memory, over which the genuine services are served.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
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

/// Makes connections to the server at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    accept: mpsc::Sender<DuplexStream>,
}

/// A dialler, and the connections that it makes as a server accepts them.
pub(crate) fn pipe()
-> (Dialler, impl tokio_stream::Stream<Item = std::io::Result<DuplexStream>> + Send + 'static) {
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
                let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                accept.send(far).await.map_err(gone)?;
                Ok::<_, std::io::Error>(TokioIo::new(near))
            }
        };
        // The address is never looked up; it only has to be one.
        let endpoint = Endpoint::from_static("http://farm.invalid")
            .connect_timeout(CONNECT_LIMIT)
            .initial_stream_window_size(crate::grpc::STREAM_WINDOW)
            .initial_connection_window_size(crate::grpc::CONNECTION_WINDOW);
        endpoint.connect_with_connector(tower::service_fn(dial)).await.map_err(ConnectError)
    }
}
