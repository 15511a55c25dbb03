//! Agents' side: the states of a stream go to its session, events to the logs, answers to whoever asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{Epoch, TaskId};
use kiln_proto::link::{AttemptEvents, AttemptReceipt, DataReply};
use kiln_proto::v1::agent_link_server::AgentLink;
use kiln_proto::{Bytes, Code, ConvertError, Problem, convert, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::identity::caller::Caller;
use crate::{Coordinator, session};

/// Messages to an agent that may wait for it. States replace each other, so few are enough.
const WAITING_STATES: usize = 2;

/// Receipts that may wait for an agent; beyond it no further batch is read.
const WAITING_RECEIPTS: usize = 16;

/// Questions that may wait for an agent to read them.
const WAITING_QUESTIONS: usize = 16;

/// Bytes of a bundle in one message.
const BUNDLE_PART: usize = 1 << 20;

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
    type FetchBundleStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::FetchedPart, Status>>>;

    async fn synchronize(
        &self,
        request: Request<Streaming<v1::CurrentState>>,
    ) -> Result<Response<Self::SynchronizeStream>, Status> {
        let (send, states) = mpsc::channel(WAITING_STATES);
        let coordinator = Arc::clone(&self.coordinator);
        let caller = Caller::of(&request);
        let serve = async move {
            if let Err(status) = session::serve(&coordinator, (&caller, request.into_inner()), &send).await {
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
        let caller = Caller::of(&request);
        let serve = async move {
            if let Err(status) = take_events(&coordinator, (&caller, request.into_inner()), &send).await {
                let _ = send.send(Err(status)).await;
            }
        };
        self.coordinator.lifecycle.servers().spawn(serve);
        Ok(Response::new(ReceiverStream::new(receipts)))
    }

    async fn fetch_bundle(
        &self,
        request: Request<v1::FetchBundleRequest>,
    ) -> Result<Response<Self::FetchBundleStream>, Status> {
        let caller = Caller::of(&request);
        let v1::FetchBundleRequest { task, epoch, .. } = request.into_inner();
        let held = (convert::id("task", &task)?, Epoch(epoch));
        let packed = bundle_of(&self.coordinator, &caller, held).await?;
        let part = |start: usize| {
            let data = packed.slice(start..(start + BUNDLE_PART).min(packed.len()));
            Ok(v1::FetchedPart { data })
        };
        let parts: Vec<_> = (0..packed.len()).step_by(BUNDLE_PART).map(part).collect();
        Ok(Response::new(tokio_stream::iter(parts)))
    }

    async fn answer_questions(
        &self,
        request: Request<Streaming<v1::DataReply>>,
    ) -> Result<Response<Self::AnswerQuestionsStream>, Status> {
        let (send, questions) = mpsc::channel(WAITING_QUESTIONS);
        let coordinator = Arc::clone(&self.coordinator);
        let caller = Caller::of(&request);
        let serve = async move {
            if let Err(status) = take_answers(&coordinator, (&caller, request.into_inner()), &send).await {
                let _ = send.send(Err(status)).await;
            }
        };
        self.coordinator.lifecycle.servers().spawn(serve);
        Ok(Response::new(ReceiverStream::new(questions)))
    }
}

async fn take_events(
    coordinator: &Coordinator,
    (caller, mut batches): (&Caller, Streaming<v1::EventBatch>),
    receipts: &mpsc::Sender<Result<v1::EventReceipt, Status>>,
) -> Result<(), Status> {
    let term = coordinator.terms.current()?;
    let mut rested = coordinator.events.rested();
    let mut told = BTreeMap::new();
    loop {
        let (due, unasked): (Vec<AttemptReceipt>, bool) = tokio::select! {
            biased;
            problem = term.ended() => return Err(problem.into()),
            batch = batches.message() => {
                let Some(batch) = batch? else { return Ok(()) };
                if coordinator.events.is_full() {
                    // The agent keeps them, and comes again.
                    return Err(Problem::new(Code::Unavailable, "events wait for the object store").into());
                }
                let attempts: Vec<AttemptEvents> =
                    batch.try_into().map_err(|error: ConvertError| Status::from(error))?;
                if attempts.iter().any(|events| is_awaited(coordinator, events.task)) {
                    let told = "this coordinator leads since a moment ago and doesn't know yet which events it lacks";
                    return Err(Problem::new(Code::Unavailable, told).into());
                }
                (attempts.into_iter().map(|events| append(coordinator, caller, events)).collect(), false)
            }
            changed = rested.changed() => {
                changed.map_err(|_| term.end())?;
                (more_at_rest(coordinator, &mut told), true)
            }
        };
        for AttemptReceipt { task, epoch, durable_sequence, refused, .. } in &due {
            match refused {
                true => told.remove(&(*task, *epoch)),
                false => told.insert((*task, *epoch), *durable_sequence),
            };
        }
        if unasked && due.is_empty() {
            continue;
        }
        let receipt = v1::EventReceipt { unasked, ..due.into() };
        if receipts.send(Ok(receipt)).await.is_err() {
            return Ok(());
        }
    }
}

/// Whether a task will have a log that takes events, and has none yet.
fn is_awaited(coordinator: &Coordinator, task: TaskId) -> bool {
    !coordinator.events.is_known(task) && coordinator.ledger.read(|farm| farm.tasks().contains_key(&task))
}

/// What an agent has been told of each attempt: from where on it must keep its events.
type Told = BTreeMap<(TaskId, Epoch), u64>;

/// Receipts for attempts of which more is at rest than their agent has been told.
fn more_at_rest(coordinator: &Coordinator, told: &mut Told) -> Vec<AttemptReceipt> {
    told.retain(|(task, _), _| coordinator.ledger.read(|farm| farm.tasks().contains_key(task)));
    let more = |((task, epoch), known): (&(TaskId, Epoch), &u64)| {
        let receipt = coordinator.events.receipt(*task, *epoch);
        (receipt.durable_sequence > *known).then_some(receipt)
    };
    told.iter().filter_map(more).collect()
}

/// Seats the agent at the desk where questions are asked, and carries them to and fro.
async fn take_answers(
    coordinator: &Coordinator,
    (caller, mut replies): (&Caller, Streaming<v1::DataReply>),
    questions: &mpsc::Sender<Result<v1::DataQuestion, Status>>,
) -> Result<(), Status> {
    let term = coordinator.terms.current()?;
    let first = tokio::select! {
        first = replies.message() => first?,
        problem = term.ended() => return Err(problem.into()),
    };
    let Some(first) = first else { return Ok(()) };
    let DataReply::Seated(agent) = first.try_into()? else {
        return Err(Problem::new(Code::Invalid, "the first message of an agent must say who it is").into());
    };
    caller.may_speak_for(agent)?;
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
            problem = term.ended() => return Err(problem.into()),
        }
    }
}

/// The files of an attempt that is under way.
async fn bundle_of(
    coordinator: &Coordinator,
    caller: &Caller,
    (task, epoch): (TaskId, Epoch),
) -> Result<Bytes, Problem> {
    let unknown = |what: &str| Problem::new(Code::NotFound, format!("the farm has no {what} of task {task}"));
    let held = coordinator.ledger.read(|farm| {
        let known = farm.tasks().get(&task)?;
        let lease = known.lease().filter(|lease| lease.epoch == epoch)?;
        caller.may_speak_for(lease.agent).is_ok().then_some(known.plan)
    });
    let stale = || Problem::new(Code::Stale, format!("task {task} is not held under epoch {epoch}"));
    let plan = coordinator.plans.get(held.ok_or_else(stale)?).await;
    let plan = plan
        .map_err(|error| Problem::from_error(Code::Unavailable, &error))?
        .ok_or_else(|| unknown("plan"))?;
    let plan: PlanBundle =
        serde_json::from_slice(&plan).map_err(|error| Problem::from_error(Code::Internal, &error))?;
    let digest = plan.bundle.ok_or_else(|| unknown("bundle"))?;
    coordinator.bundles.packed(digest).await?.ok_or_else(|| unknown("bundle"))
}

/// The part of a plan that says in which files it works.
#[derive(serde::Deserialize)]
struct PlanBundle {
    #[serde(default)]
    bundle: Option<Fingerprint>,
}

/// Appends if the ledger knows the caller for the one whose word counts about the attempt. The log itself checks again, since a
/// later attempt may begin between.
fn append(coordinator: &Coordinator, caller: &Caller, events: AttemptEvents) -> AttemptReceipt {
    let AttemptEvents { task, epoch, records } = events;
    let current = coordinator.ledger.read(|farm| {
        let teller = farm.tasks().get(&task).and_then(|task| task.teller(epoch));
        teller.is_some_and(|teller| caller.may_speak_for(teller).is_ok())
    });
    if !current {
        return AttemptReceipt { task, epoch, next_sequence: 0, durable_sequence: 0, refused: true };
    }
    if !records.is_empty() {
        coordinator.pulse.with(|liveness, now| liveness.moved(task, epoch, now));
    }
    coordinator.events.append(task, epoch, records)
}
