//! People's side: submit, follow, cancel, answer, ask.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kiln_model::build::DEFAULT_PROJECT;
use kiln_model::{Refusal, Role};
use kiln_plan::DataQuery;
use kiln_plan::id::{BuildId, Epoch, TaskId};
use kiln_proto::link::Answer;
use kiln_proto::submission::{AnswerRequest, FollowRequest, SubmitRequest};
use kiln_proto::v1::submission_server::Submission;
use kiln_proto::{Code, Problem, convert, v1};
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::bundles::Bundles;
use crate::events::Gone;
use crate::identity::caller::Caller;
use crate::identity::layer::about;
use crate::terms::Term;
use crate::{Coordinator, admission};

/// How long the first part of a bundle may take.
const FIRST_LIMIT: Duration = Duration::from_secs(30);

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

#[tonic::async_trait]
impl Submission for Service {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<v1::FollowUpdate, Status>> + Send>>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let caller = Caller::of(&request);
        let request: SubmitRequest = request.into_inner().try_into()?;
        let project = if request.project.is_empty() { DEFAULT_PROJECT } else { &request.project };
        caller.may_in(Role::Builder, project)?;
        let reply = admission::submit(&self.coordinator, &caller, request).await;
        self.coordinator.meters.submitted(reply.as_ref().is_ok_and(|reply| reply.build.is_some()).into());
        let reply = reply?;
        let target = reply.build.map(|build| format!("build {build}"));
        Ok(about(reply.into(), target.unwrap_or_else(|| "no build".into())))
    }

    async fn follow(
        &self,
        request: Request<v1::FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let caller = Caller::of(&request);
        let FollowRequest { build, from } = request.into_inner().try_into()?;
        self.coordinator.may(&caller, Role::Viewer, build)?;
        let term = self.coordinator.terms.current()?;
        let coordinator = Arc::clone(&self.coordinator);
        let ended = move |coordinator: &Coordinator, term: &Term| {
            if term.is_over() {
                // The logs end with the term, too; that is not the end of the build.
                return term.end();
            }
            if coordinator.ledger.read(|farm| farm.builds().contains_key(&build)) {
                return Problem::new(Code::Unavailable, "the build's events are not there yet; try again");
            }
            Problem::from_error(Code::NotFound, &Refusal::UnknownBuild(build))
        };
        let reader = coordinator.events.follow(build, from).ok_or_else(|| ended(&coordinator, &term))?;
        let updates = futures::stream::unfold(
            (coordinator, Some((reader, term))),
            move |(coordinator, following)| async move {
                let (mut reader, term) = following?;
                let update = tokio::select! {
                    update = coordinator.events.next(&mut reader) => update,
                    _ = term.ended() => Err(Gone),
                };
                match update {
                    Ok(Some(update)) => {
                        Some((Ok(v1::FollowUpdate::from(update)), (coordinator, Some((reader, term)))))
                    }
                    Ok(None) => None,
                    Err(Gone) => Some((Err(ended(&coordinator, &term).into()), (coordinator, None))),
                }
            },
        );
        Ok(Response::new(Box::pin(updates)))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::CancelReply>, Status> {
        let caller = Caller::of(&request);
        let build: BuildId = convert::id("build", &request.into_inner().build)?;
        self.coordinator.may(&caller, Role::Builder, build)?;
        self.coordinator.cancel(build).await?;
        Ok(about(v1::CancelReply {}, format!("build {build}")))
    }

    async fn find_bundle(
        &self,
        request: Request<v1::FindBundleRequest>,
    ) -> Result<Response<v1::FindBundleReply>, Status> {
        let digest = convert::fingerprint("bundle", &request.into_inner().digest)?;
        let found = self.coordinator.bundles.has(digest).await.map_err(Problem::from)?;
        Ok(Response::new(v1::FindBundleReply { found }))
    }

    async fn put_bundle(
        &self,
        request: Request<Streaming<v1::BundlePart>>,
    ) -> Result<Response<v1::PutBundleReply>, Status> {
        let mut parts = request.into_inner();
        let missing = || Problem::new(Code::Invalid, "the first part of a bundle must say which it is");
        let first = next_part(&mut parts, Instant::now() + FIRST_LIMIT).await?.ok_or_else(missing)?;
        let digest = convert::fingerprint("bundle", &first.digest.ok_or_else(missing)?)?;
        let mut incoming = Bundles::begin(digest);
        incoming.take(&first.data).map_err(Problem::from)?;
        while let Some(part) = next_part(&mut parts, incoming.deadline()).await? {
            incoming.take(&part.data).map_err(Problem::from)?;
        }
        self.coordinator.bundles.keep(incoming).await.map_err(Problem::from)?;
        Ok(Response::new(v1::PutBundleReply {}))
    }

    async fn answer(&self, request: Request<v1::AnswerRequest>) -> Result<Response<v1::AnswerReply>, Status> {
        let caller = Caller::of(&request);
        let AnswerRequest { task, question, text } = request.into_inner().try_into()?;
        if let Some(build) = self.coordinator.ledger.read(|farm| Some(farm.tasks().get(&task)?.build)) {
            self.coordinator.may(&caller, Role::Builder, build)?;
        }
        let epoch = self.asking(task)?;
        self.coordinator.answers.give(task, epoch, Answer { question, text });
        Ok(about(v1::AnswerReply {}, format!("task {task}")))
    }

    async fn ask_data(
        &self,
        request: Request<v1::AskDataRequest>,
    ) -> Result<Response<v1::AskDataReply>, Status> {
        let queries: Vec<DataQuery> = request.into_inner().try_into()?;
        let answers = admission::ask(&self.coordinator, &queries).await?;
        Ok(Response::new(answers.into()))
    }
}

/// The next part of a bundle, from a sender that goes on sending.
async fn next_part(
    parts: &mut Streaming<v1::BundlePart>,
    deadline: Instant,
) -> Result<Option<v1::BundlePart>, Status> {
    let stalled = |_| Problem::new(Code::Unavailable, "the rest of the bundle did not come in time");
    tokio::time::timeout_at(deadline, parts.message()).await.map_err(stalled)?
}

impl Service {
    /// The attempt that may have asked.
    fn asking(&self, task: TaskId) -> Result<Epoch, Problem> {
        self.coordinator.ledger.read(|farm| {
            let known = farm.tasks().get(&task);
            let known =
                known.ok_or_else(|| Problem::from_error(Code::NotFound, &Refusal::UnknownTask(task)))?;
            let lease = known.lease().map(|lease| lease.epoch);
            lease.ok_or_else(|| {
                Problem::new(Code::Refused, format!("task {task} is not running and asks nothing"))
            })
        })
    }
}
