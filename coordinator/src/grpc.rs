//! The services, and over which wires they are served. Each method converts, calls and converts.

use std::sync::Arc;

use kiln_proto::MESSAGE_LIMIT;
use kiln_proto::transport::{self, Arrival};
use kiln_proto::v1::agent_link_server::AgentLinkServer;
use kiln_proto::v1::farm_server::FarmServer;
use kiln_proto::v1::identity_server::IdentityServer;
use kiln_proto::v1::images_server::ImagesServer;
use kiln_proto::v1::peer_server::PeerServer;
use kiln_proto::v1::submission_server::SubmissionServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::transport::server::Connected;

mod agent_link;
mod crowd;
mod farm;
mod identity;
mod images;
mod peer;
mod submission;

pub(crate) use crowd::CrowdLayer;

use crate::forward::ForwardLayer;
use crate::identity::caller::Gatekeeper;
use crate::identity::layer::{AuthorizeLayer, IdentifyLayer};
use crate::{Coordinator, http};

/// The most bytes of a message about identities: strangers send them.
const IDENTITY_LIMIT: usize = 64 << 10;

/// Serves all services to whoever comes in, until the coordinator closes.
pub(crate) fn serve<I, C>(coordinator: &Arc<Coordinator>, incoming: I)
where
    I: Stream<Item = std::io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo = Arrival> + Unpin + Send + 'static,
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
    let farm = FarmServer::new(farm::Service::new(Arc::clone(coordinator)));
    let peer = PeerServer::new(peer::Service::new(Arc::clone(coordinator)))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let identity = IdentityServer::new(identity::Service::new(Arc::clone(coordinator)))
        .max_decoding_message_size(IDENTITY_LIMIT);
    let gatekeeper = Gatekeeper(Arc::clone(coordinator));
    let closing = coordinator.lifecycle.closing().clone().cancelled_owned();
    // What comes over HTTP/2 and is no gRPC: the JSON API and its kin.
    let routes = Routes::from(http::whole(coordinator))
        .add_service(submission)
        .add_service(agent_link)
        .add_service(farm)
        .add_service(peer)
        .add_service(images)
        .add_service(identity);
    let server = transport::server()
        .layer(IdentifyLayer(gatekeeper.clone()))
        .layer(ForwardLayer::new(coordinator.ledger.clone(), coordinator.lifecycle.closing().clone()))
        .layer(AuthorizeLayer(gatekeeper))
        .layer(coordinator.crowd.clone())
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, closing);
    coordinator.lifecycle.servers().spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the coordinator's services failed");
        }
    });
}
