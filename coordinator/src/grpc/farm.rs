//! The farm as a whole, for people: what there is, why something waits, drain, remove.

use std::sync::Arc;

use kiln_plan::id::BuildId;
use kiln_proto::v1::farm_server::Farm;
use kiln_proto::{Code, Problem, convert, v1};
use serde::Serialize;
use tonic::{Request, Response, Status};

use crate::Coordinator;
use crate::identity::Caller;
use crate::identity::layer::about;

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

type Seen = Result<Response<v1::View>, Status>;

fn shown(view: &impl Serialize) -> Seen {
    let json = serde_json::to_vec(view).map_err(|error| Problem::from_error(Code::Internal, &error))?;
    Ok(Response::new(v1::View { json: json.into() }))
}

#[tonic::async_trait]
impl Farm for Service {
    async fn get_overview(&self, _request: Request<v1::GetOverviewRequest>) -> Seen {
        shown(&self.coordinator.overview())
    }

    async fn list_builds(&self, request: Request<v1::ListBuildsRequest>) -> Seen {
        let caller = Caller::of(&request);
        let v1::ListBuildsRequest { most, running } = request.into_inner();
        shown(&self.coordinator.builds(&caller, most, running))
    }

    async fn get_build(&self, request: Request<v1::GetBuildRequest>) -> Seen {
        let caller = Caller::of(&request);
        let build: BuildId = convert::id("build", &request.into_inner().build)?;
        shown(&self.coordinator.build_view(&caller, build)?)
    }

    async fn list_agents(&self, _request: Request<v1::ListAgentsRequest>) -> Seen {
        shown(&self.coordinator.agents())
    }

    async fn list_members(&self, _request: Request<v1::ListMembersRequest>) -> Seen {
        shown(&self.coordinator.members())
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Seen {
        let caller = Caller::of(&request);
        let build: BuildId = convert::id("build", &request.into_inner().build)?;
        shown(&self.coordinator.explain(&caller, build)?)
    }

    async fn set_draining(
        &self,
        request: Request<v1::SetDrainingRequest>,
    ) -> Result<Response<v1::SetDrainingReply>, Status> {
        let v1::SetDrainingRequest { agent, draining } = request.into_inner();
        self.coordinator.set_draining(&agent, draining).await?;
        let target = format!("agent {agent}, draining: {draining}");
        Ok(about(v1::SetDrainingReply {}, target))
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::RemoveMemberReply>, Status> {
        let member = request.into_inner().member;
        self.coordinator.remove_member(member).await?;
        Ok(about(v1::RemoveMemberReply {}, format!("coordinator {member}")))
    }
}
