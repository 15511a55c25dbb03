//! Agents' side: the states of a stream go to its session, events to the logs, answers to whoever asked.

use std::sync::Arc;

use kiln_plan::id::{Epoch, TaskId};
use kiln_proto::link::{AttemptEvents, AttemptReceipt, DataReply};
use kiln_proto::v1::agent_link_server::AgentLink;
use kiln_proto::{Code, ConvertError, Problem, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{Coordinator, session};

/// Messages to an agent that may wait for it. States replace each other, so few are enough.
const WAITING_STATES: usize = 2;

/// Receipts that may wait for an agent; beyond it no further batch is read.
const WAITING_RECEIPTS: usize = 16;

/// Questions that may wait for an agent to read them.
const WAITING_QUESTIONS: usize = 16;

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
impl AgentLink for Service {
    type SynchronizeStream = ReceiverStream<Result<v1::DesiredState, Status>>;
    type AppendEventsStream = ReceiverStream<Result<v1::EventReceipt, Status>>;
    type AnswerQuestionsStream = ReceiverStream<Result<v1::DataQuestion, Status>>;

    async fn synchronize(
        &self,
        request: Request<Streaming<v1::CurrentState>>,
    ) -> Result<Response<Self::SynchronizeStream>, Status> {
        let (send, states) = mpsc::channel(WAITING_STATES);
        let coordinator = Arc::clone(&self.coordinator);
        let serve = async move {
            if let Err(status) = session::serve(&coordinator, request.into_inner(), &send).await {
                // An agent that is gone doesn't read it.
                let _ = send.send(Err(status)).await;
            }
        };
        self.coordinator.lifecycle.servers().spawn(serve);
        Ok(Response::new(ReceiverStream::new(states)))
    }

    async fn append_events(
        &self,
        request: Request<Streaming<v1::EventBatch>>,
    ) -> Result<Response<Self::AppendEventsStream>, Status> {
        let (send, receipts) = mpsc::channel(WAITING_RECEIPTS);
        let coordinator = Arc::clone(&self.coordinator);
        let serve = async move {
            if let Err(status) = take_events(&coordinator, request.into_inner(), &send).await {
                let _ = send.send(Err(status)).await;
            }
        };
        self.coordinator.lifecycle.servers().spawn(serve);
        Ok(Response::new(ReceiverStream::new(receipts)))
    }

    async fn answer_questions(
        &self,
        request: Request<Streaming<v1::DataReply>>,
    ) -> Result<Response<Self::AnswerQuestionsStream>, Status> {
        let (send, questions) = mpsc::channel(WAITING_QUESTIONS);
        let coordinator = Arc::clone(&self.coordinator);
        let serve = async move {
            if let Err(status) = take_answers(&coordinator, request.into_inner(), &send).await {
                let _ = send.send(Err(status)).await;
            }
        };
        self.coordinator.lifecycle.servers().spawn(serve);
        Ok(Response::new(ReceiverStream::new(questions)))
    }
}

async fn take_events(
    coordinator: &Coordinator,
    mut batches: Streaming<v1::EventBatch>,
    receipts: &mpsc::Sender<Result<v1::EventReceipt, Status>>,
) -> Result<(), Status> {
    loop {
        let batch = tokio::select! {
            batch = batches.message() => batch?,
            () = coordinator.lifecycle.closing().cancelled() => return Ok(()),
        };
        let Some(batch) = batch else { return Ok(()) };
        let attempts: Vec<AttemptEvents> =
            batch.try_into().map_err(|error: ConvertError| Status::from(error))?;
        let taken: Vec<AttemptReceipt> =
            attempts.into_iter().map(|events| append(coordinator, events)).collect();
        if receipts.send(Ok(taken.into())).await.is_err() {
            return Ok(());
        }
    }
}

/// Seats the agent at the desk where questions are asked, and carries them to and fro.
async fn take_answers(
    coordinator: &Coordinator,
    mut replies: Streaming<v1::DataReply>,
    questions: &mpsc::Sender<Result<v1::DataQuestion, Status>>,
) -> Result<(), Status> {
    let closing = coordinator.lifecycle.closing();
    let first = tokio::select! {
        first = replies.message() => first?,
        () = closing.cancelled() => return Ok(()),
    };
    let Some(first) = first else { return Ok(()) };
    let DataReply::Seated(agent) = first.try_into()? else {
        return Err(Problem::new(Code::Invalid, "the first message of an agent must say who it is").into());
    };
    let (seat, mut asked) = coordinator.data_desk.sit(agent);
    loop {
        tokio::select! {
            reply = replies.message() => {
                let Some(reply) = reply? else { return Ok(()) };
                if let DataReply::Answered { number, answer } = reply.try_into()? {
                    seat.answered(number, answer);
                }
            }
            question = asked.recv() => {
                // A later stream of the same agent has taken the seat.
                let Some(question) = question else { return Ok(()) };
                if questions.send(Ok(question.into())).await.is_err() {
                    return Ok(());
                }
            }
            () = closing.cancelled() => return Ok(()),
        }
    }
}

/// Appends unless the ledger knows a later attempt. The log itself checks again, since a later one may begin
/// between.
fn append(coordinator: &Coordinator, events: AttemptEvents) -> AttemptReceipt {
    let AttemptEvents { task, epoch, records } = events;
    if current_epoch(coordinator, task) != Some(epoch) {
        return AttemptReceipt { task, epoch, next_sequence: 0, refused: true, durable_sequence: 0 };
    }
    if !records.is_empty() {
        coordinator.pulse.with(|liveness, now| liveness.moved(task, epoch, now));
    }
    coordinator.events.append(task, epoch, records)
}

fn current_epoch(coordinator: &Coordinator, task: TaskId) -> Option<Epoch> {
    coordinator.ledger.read(|farm| farm.tasks().get(&task).map(|task| task.epoch))
}
