//! Coordinators' side: how the ledger is agreed upon. Only coordinators are heard.

use std::sync::Arc;

use kiln_proto::transport::{self, Arrival};
use kiln_proto::v1::peer_server::Peer;
use kiln_proto::{Problem, v1};
use tonic::{Request, Response, Status};

use crate::Coordinator;

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    coordinator: Arc<Coordinator>,
}

impl Service {
    pub(super) const fn new(coordinator: Arc<Coordinator>) -> Self {
        Self { coordinator }
    }
}

/// The message, if a coordinator sent it.
fn heard<T>(request: Request<T>) -> Result<T, Status> {
    match request.extensions().get::<Arrival>().map(|arrival| arrival.peer) {
        Some(transport::Peer::Coordinator(_)) => Ok(request.into_inner()),
        _ => Err(Status::permission_denied("only coordinators of this farm may call this")),
    }
}

fn answer<T>(answer: Result<T, Problem>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(Status::from)
}

#[tonic::async_trait]
impl Peer for Service {
    async fn append(&self, request: Request<v1::AppendRequest>) -> Result<Response<v1::AppendReply>, Status> {
        answer(self.coordinator.ledger.append(heard(request)?).await)
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::VoteReply>, Status> {
        answer(self.coordinator.ledger.vote(heard(request)?).await)
    }

    async fn install_snapshot(
        &self,
        request: Request<v1::SnapshotPart>,
    ) -> Result<Response<v1::SnapshotReply>, Status> {
        answer(self.coordinator.ledger.install_snapshot(heard(request)?).await)
    }

    async fn canvass(
        &self,
        request: Request<v1::CanvassRequest>,
    ) -> Result<Response<v1::CanvassReply>, Status> {
        answer(self.coordinator.ledger.canvass(heard(request)?))
    }
}
