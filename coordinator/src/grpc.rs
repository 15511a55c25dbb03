//! The services, and over which wires they are served. Each method converts, calls and converts.

use std::sync::Arc;

use kiln_proto::MESSAGE_LIMIT;
use kiln_proto::transport::{self, Arrival, Lane};
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

use crate::forward::{ForwardLayer, waiting};
use crate::identity::caller::Gatekeeper;
use crate::identity::layer::{AuthorizeLayer, IdentifyLayer};
use crate::{Coordinator, http};

/// The most bytes of a message about identities: strangers send them.
const IDENTITY_LIMIT: usize = 64 << 10;

/// Serves all services to whoever comes in by this lane, until the coordinator closes. Consensus is served by the threads
/// of the ledger.
pub(crate) fn serve<I, C>(coordinator: &Arc<Coordinator>, lane: Lane, incoming: I)
where
    I: Stream<Item = std::io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo = Arrival> + Unpin + Send + 'static,
{
    let gatekeeper = Gatekeeper(Arc::clone(coordinator));
    let closing = coordinator.lifecycle.closing().clone();
    let server = match lane {
        Lane::Coordinators | Lane::Consensus => transport::server_for_coordinators(),
        Lane::Crowd | Lane::Http1 => transport::server(),
    };
    let server = server
        .layer(waiting(coordinator.ledger.clone(), closing.clone()))
        .layer(IdentifyLayer(gatekeeper.clone()))
        .layer(ForwardLayer::new(coordinator.ledger.clone(), closing.clone()))
        .layer(AuthorizeLayer(gatekeeper))
        .layer(coordinator.crowd.clone())
        .add_routes(routes(coordinator))
        .serve_with_incoming_shutdown(incoming, closing.cancelled_owned());
    let served = async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the coordinator's services failed");
        }
    };
    let servers = coordinator.lifecycle.servers();
    match lane {
        Lane::Consensus => servers.spawn_on(served, coordinator.ledger.threads()),
        Lane::Coordinators | Lane::Crowd | Lane::Http1 => servers.spawn(served),
    };
}

fn routes(coordinator: &Arc<Coordinator>) -> Routes {
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
    // What comes over HTTP/2 and is no gRPC: the JSON API and its kin.
    Routes::from(http::whole(coordinator))
        .add_service(submission)
        .add_service(agent_link)
        .add_service(farm)
        .add_service(peer)
        .add_service(images)
        .add_service(identity)
}
