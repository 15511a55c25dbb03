//! People's side: submit, follow, cancel, answer, ask.

use std::pin::Pin;
use std::sync::Arc;

use kiln_model::{Action, Outcome, Refusal};
use kiln_plan::DataQuery;
use kiln_plan::id::{BuildId, Epoch, TaskId};
use kiln_proto::link::Answer;
use kiln_proto::submission::{AnswerRequest, FollowRequest};
use kiln_proto::v1::submission_server::Submission;
use kiln_proto::{Code, Problem, convert, v1};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::{Coordinator, admission};

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
        let reply = admission::submit(&self.coordinator, request.into_inner().into()).await?;
        Ok(Response::new(reply.into()))
    }

    async fn follow(
        &self,
        request: Request<v1::FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let FollowRequest { build, from } = request.into_inner().try_into()?;
        let term = self.coordinator.terms.current()?;
        let Some(reader) = self.coordinator.events.follow(build, from) else {
            return Err(Problem::from_error(Code::NotFound, &Refusal::UnknownBuild(build)).into());
        };
        let coordinator = Arc::clone(&self.coordinator);
        let updates =
            futures::stream::unfold((coordinator, Some((reader, term))), |(coordinator, following)| async {
                let (mut reader, term) = following?;
                let update = tokio::select! {
                    update = coordinator.events.next(&mut reader) => update,
                    _ = term.ended() => None,
                };
                match update {
                    Some(update) => {
                        Some((Ok(v1::FollowUpdate::from(update)), (coordinator, Some((reader, term)))))
                    }
                    // The logs end with the term, too; that is not the end of the build.
                    None if term.is_over() => Some((Err(term.end().into()), (coordinator, None))),
                    None => None,
                }
            });
        Ok(Response::new(Box::pin(updates)))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::CancelReply>, Status> {
        let build: BuildId = convert::id("build", &request.into_inner().build)?;
        match self.coordinator.ledger.propose(Action::Cancel { build }).await? {
            Outcome::Refused(refusal @ Refusal::UnknownBuild(_)) => {
                Err(Problem::from_error(Code::NotFound, &refusal).into())
            }
            // That it has ended already is what was wanted.
            _ => Ok(Response::new(v1::CancelReply {})),
        }
    }

    async fn answer(&self, request: Request<v1::AnswerRequest>) -> Result<Response<v1::AnswerReply>, Status> {
        let AnswerRequest { task, question, text } = request.into_inner().try_into()?;
        let epoch = self.asking(task)?;
        self.coordinator.answers.give(task, epoch, Answer { question, text });
        Ok(Response::new(v1::AnswerReply {}))
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
