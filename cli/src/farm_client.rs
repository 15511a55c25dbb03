//! A farm as a person asks it for builds: near (in this process) or far, by one face.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{DataAnswer, DataQuery, Event};
use kiln_proto::bundle::BundleError;
use kiln_proto::event::TaskRecords;
use kiln_proto::submission::{AnswerRequest, FollowRequest, SubmitReply, SubmitRequest};
use kiln_proto::transport;
use kiln_proto::v1::submission_client::SubmissionClient;
use kiln_proto::{Bytes, Code, ConvertError, MESSAGE_LIMIT, Problem, v1};

use crate::farm_connection::Connection;

/// Bytes of a bundle that are sent at once.
const BUNDLE_PART: usize = 1 << 20;

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
    /// It ended the stream of a build as if all had been told.
    #[error("the farm did not tell how every task of the build ended")]
    Untold,
    /// The files of the template can't be sent.
    #[error("the template's files cannot be sent")]
    Bundle(#[from] BundleError),
}

/// A connection to a farm.
#[derive(Clone, Debug)]
pub(crate) struct FarmClient {
    submissions: SubmissionClient<Connection>,
}

/// The events of a build as they come.
#[derive(Debug)]
pub(crate) struct Following {
    updates: tonic::Streaming<v1::FollowUpdate>,
}

impl FarmClient {
    /// Over a connection that is made already.
    pub(crate) fn new(connection: Connection) -> Self {
        let submissions = SubmissionClient::new(connection)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Self { submissions }
    }

    /// Asks for a build.
    pub(crate) async fn submit(&mut self, request: SubmitRequest) -> Result<SubmitReply, FarmError> {
        let request = v1::SubmitRequest::from(request);
        let reply = self.submissions.submit(request).await.map_err(refused("take the build"))?;
        Ok(reply.into_inner().try_into()?)
    }

    /// Sends a bundle, unless the farm has it.
    pub(crate) async fn put_bundle(&mut self, digest: Fingerprint, packed: &Bytes) -> Result<(), FarmError> {
        let asked = v1::FindBundleRequest { digest: digest.to_string() };
        let known = self.submissions.find_bundle(asked).await.map_err(refused("look for the bundle"))?;
        if known.into_inner().found {
            return Ok(());
        }
        let packed = packed.clone();
        let parts = (0..packed.len()).step_by(BUNDLE_PART).map(move |start| v1::BundlePart {
            digest: (start == 0).then(|| digest.to_string()),
            data: packed.slice(start..(start + BUNDLE_PART).min(packed.len())),
        });
        let parts = tokio_stream::iter(parts.collect::<Vec<_>>());
        self.submissions.put_bundle(parts).await.map_err(refused("take the bundle"))?;
        Ok(())
    }

    /// Follows a build from these places on, and from the beginning in all other tasks.
    pub(crate) async fn follow(
        &mut self,
        build: BuildId,
        from: Vec<(TaskId, u64)>,
    ) -> Result<Following, FarmError> {
        let request = v1::FollowRequest::from(FollowRequest { build, from });
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

impl FarmError {
    /// Whether the farm may answer later: it can't be reached, or its leader is being replaced.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                Problem::from((**status).clone()).code == Code::Unavailable && !transport::is_distrust(status)
            }
            Self::Untold => true,
            Self::Answer(_) | Self::Bundle(_) => false,
        }
    }
}

fn refused(operation: &'static str) -> impl Fn(tonic::Status) -> FarmError {
    move |status| FarmError::Refused { operation, status: Box::new(status) }
}

impl Following {
    /// The next events; `None` when the stream ended, as it should only once the end of each task was told. May be dropped
    /// at any time.
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
