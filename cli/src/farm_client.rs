//! A farm as a person asks it for builds: near (in this process) or far, by one face.

use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{DataAnswer, DataQuery, Event};
use kiln_proto::event::TaskRecords;
use kiln_proto::submission::{AnswerRequest, FollowRequest, SubmitReply, SubmitRequest};
use kiln_proto::v1::submission_client::SubmissionClient;
use kiln_proto::{ConvertError, MESSAGE_LIMIT, v1};
use tonic::transport::Channel;

/// What can go wrong between a person and a farm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FarmError {
    /// The farm refused, or can't be reached.
    #[error("the farm could not {operation}: {}", status.message())]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// Its answer.
        status: Box<tonic::Status>,
    },
    /// Its answer makes no sense.
    #[error("the farm's answer cannot be read")]
    Answer(#[from] ConvertError),
}

/// A connection to a farm.
#[derive(Clone, Debug)]
pub(crate) struct FarmClient {
    submissions: SubmissionClient<Channel>,
}

/// The events of a build as they come.
#[derive(Debug)]
pub(crate) struct Following {
    updates: tonic::Streaming<v1::FollowUpdate>,
}

impl FarmClient {
    /// Over a connection that is made already.
    pub(crate) fn new(channel: Channel) -> Self {
        let submissions = SubmissionClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Self { submissions }
    }

    /// Asks for a build.
    pub(crate) async fn submit(
        &mut self,
        request: &kiln_config::Request,
        parallel: u32,
    ) -> Result<SubmitReply, FarmError> {
        let request = serde_json::to_vec(request).unwrap_or_default().into();
        let request = v1::SubmitRequest::from(SubmitRequest { request, parallel });
        let reply = self.submissions.submit(request).await.map_err(refused("take the build"))?;
        Ok(reply.into_inner().try_into()?)
    }

    /// Follows a build from its beginning.
    pub(crate) async fn follow(&mut self, build: BuildId) -> Result<Following, FarmError> {
        let request = v1::FollowRequest::from(FollowRequest { build, from: Vec::new() });
        let updates = self.submissions.follow(request).await.map_err(refused("tell of the build"))?;
        Ok(Following { updates: updates.into_inner() })
    }

    /// Ends a build; following it tells when it has ended.
    pub(crate) async fn cancel(&mut self, build: BuildId) -> Result<(), FarmError> {
        let request = v1::CancelRequest { build: build.to_string() };
        self.submissions.cancel(request).await.map_err(refused("cancel the build"))?;
        Ok(())
    }

    /// Answers a question that a task asked.
    pub(crate) async fn answer(
        &mut self,
        task: TaskId,
        question: u64,
        text: String,
    ) -> Result<(), FarmError> {
        let request = v1::AnswerRequest::from(AnswerRequest { task, question, text });
        self.submissions.answer(request).await.map_err(refused("pass on the answer"))?;
        Ok(())
    }

    /// Asks data sources; the answers come in the order of the questions.
    pub(crate) async fn ask_data(&mut self, queries: &[DataQuery]) -> Result<Vec<DataAnswer>, FarmError> {
        let request = v1::AskDataRequest::from(queries);
        let reply = self.submissions.ask_data(request).await.map_err(refused("ask the data sources"))?;
        Ok(reply.into_inner().try_into()?)
    }
}

fn refused(operation: &'static str) -> impl Fn(tonic::Status) -> FarmError {
    move |status| FarmError::Refused { operation, status: Box::new(status) }
}

impl Following {
    /// The next events; `None` once the build has ended and all is told. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Event>>, FarmError> {
        let Some(update) = self.updates.message().await.map_err(refused("tell of the build"))? else {
            return Ok(None);
        };
        let tasks: Vec<TaskRecords> = update.try_into()?;
        let mut events = Vec::new();
        for TaskRecords { task, records } in tasks {
            for record in records {
                // A kind of the future is nothing that this program could show.
                events.extend(record.open(task)?);
            }
        }
        Ok(Some(events))
    }
}
