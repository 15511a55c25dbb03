//! The services, and over which wires they are served. Each method converts, calls and converts.

use std::sync::Arc;
use std::time::Duration;

use kiln_proto::MESSAGE_LIMIT;
use kiln_proto::v1::agent_link_server::AgentLinkServer;
use kiln_proto::v1::images_server::ImagesServer;
use kiln_proto::v1::submission_server::SubmissionServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

mod agent_link;
mod images;
mod submission;

use crate::Coordinator;

/// How often a silent connection is tried, and how long it may then stay silent. Without it a connection that
/// a broken network swallowed would never end.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Bytes of a stream and of a connection that may be under way unacknowledged: a batch of plans should not have
/// to wait for round trips.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves all services to whoever comes in, until the coordinator closes.
pub(crate) fn serve<I, C>(coordinator: &Arc<Coordinator>, incoming: I)
where
    I: Stream<Item = std::io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let submission = SubmissionServer::new(submission::Service::new(Arc::clone(coordinator)))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let agent_link = AgentLinkServer::new(agent_link::Service::new(Arc::clone(coordinator)))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let images = ImagesServer::new(images::Service::new(Arc::clone(coordinator)))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let closing = coordinator.lifecycle.closing().clone().cancelled_owned();
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(submission)
        .add_service(agent_link)
        .add_service(images)
        .serve_with_incoming_shutdown(incoming, closing);
    coordinator.lifecycle.servers().spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the coordinator's services failed");
        }
    });
}
