//! Someone who submits builds and follows them, and the evaluation of what they submit.

use std::sync::Arc;
use std::time::Duration;

use kiln_coordinator::{Asked, Coordinator, Evaluated, Evaluator, Handle, Settings};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::event::{Event, EventKind, TaskOutcome};
use kiln_plan::id::{BuildId, Epoch, RequestId, TaskId};
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, Requirements};
use kiln_proto::event::{TaskRecords, place};
use kiln_proto::submission::{AnswerRequest, FollowRequest, SubmitReply, SubmitRequest};
use kiln_proto::v1;
use kiln_proto::v1::submission_client::SubmissionClient;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Nothing in these tests takes as long as this, by a clock that stands still while there is work.
pub(crate) const BOUND: Duration = Duration::from_secs(3_600);

pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("it takes far less")
}

/// Makes as many plans of the null builder as the request says, or errors.
#[derive(Debug)]
pub(crate) struct Plans;

impl Evaluator for Plans {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let catalog = asked.catalog;
        let request: Value = serde_json::from_slice(asked.request).unwrap();
        let mut diagnostics = Diagnostics::new();
        if catalog.get(ComponentKind::Builder, "null").is_none() {
            diagnostics.push(Diagnostic::error("Unknown builder", "no agent offers null"));
        }
        if let Some(error) = request["error"].as_str() {
            diagnostics.push(Diagnostic::error(error, ""));
        }
        let tasks = if diagnostics.has_errors() { 0 } else { request["tasks"].as_u64().unwrap_or(1) };
        let needs = request["needs"].as_str().unwrap_or("builder/null");
        let plans = (0..tasks).map(|n| plan(n, needs)).collect();
        Evaluated { plans, diagnostics, questions: Vec::new() }
    }
}

fn plan(n: u64, needs: &str) -> BuildPlan {
    let builder = ComponentConfig::bare(ComponentKind::Builder, "null");
    let requirements = Requirements { components: [needs.to_owned()].into(), ..Requirements::default() };
    BuildPlan { requirements, ..BuildPlan::of_builder(builder, format!("t{n}")) }
}

pub(crate) async fn coordinator(settings: Settings) -> Handle {
    Coordinator::start(settings, Arc::new(Plans)).await.unwrap()
}

/// Someone who submits and follows.
#[derive(Clone)]
pub(crate) struct Client {
    service: SubmissionClient<Channel>,
}

impl Client {
    pub(crate) async fn of(farm: &Handle) -> Self {
        Self { service: SubmissionClient::new(farm.connect().await.unwrap()) }
    }

    pub(crate) async fn try_submit(&mut self, request: Value, parallel: u32) -> Result<SubmitReply, Status> {
        let request = SubmitRequest {
            request: request.to_string().into_bytes().into(),
            parallel,
            ..SubmitRequest::default()
        };
        let reply = bounded(self.service.submit(v1::SubmitRequest::from(request))).await?;
        Ok(reply.into_inner().try_into().unwrap())
    }

    /// Submits one task, as a client does that may have to send it again.
    pub(crate) async fn submit_keyed(&mut self, key: u128) -> Result<SubmitReply, Status> {
        let request = SubmitRequest {
            request: json!({ "tasks": 1 }).to_string().into_bytes().into(),
            key: Some(RequestId::new(uuid::Uuid::from_u128(key))),
            ..SubmitRequest::default()
        };
        let reply = bounded(self.service.submit(v1::SubmitRequest::from(request))).await?;
        Ok(reply.into_inner().try_into().unwrap())
    }

    /// Submits so many tasks.
    pub(crate) async fn submit(&mut self, tasks: u64, parallel: u32) -> (BuildId, Vec<TaskId>) {
        let reply = self.try_submit(json!({ "tasks": tasks }), parallel).await.unwrap();
        (reply.build.unwrap(), reply.tasks.into_iter().map(|(task, _)| task).collect())
    }

    pub(crate) async fn cancel(&mut self, build: BuildId) -> Result<(), Status> {
        let request = v1::CancelRequest { build: build.to_string() };
        bounded(self.service.cancel(request)).await.map(drop)
    }

    pub(crate) async fn answer(&mut self, task: TaskId, question: u64, text: &str) -> Result<(), Status> {
        let request = AnswerRequest { task, question, text: text.into() };
        bounded(self.service.answer(v1::AnswerRequest::from(request))).await.map(drop)
    }

    pub(crate) async fn follow(
        &mut self,
        build: BuildId,
        from: Vec<(TaskId, u64)>,
    ) -> Result<Follow, Status> {
        let request = v1::FollowRequest::from(FollowRequest { build, from });
        Ok(Follow { stream: bounded(self.service.follow(request)).await?.into_inner() })
    }

    /// Everything that happens in a build, to its end.
    pub(crate) async fn all(&mut self, build: BuildId) -> Vec<Event> {
        self.follow(build, vec![]).await.unwrap().all().await
    }
}

/// A build being followed.
pub(crate) struct Follow {
    stream: Streaming<v1::FollowUpdate>,
}

impl Follow {
    /// What comes next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Event>>, Status> {
        let Some(update) = bounded(self.stream.message()).await? else { return Ok(None) };
        let tasks: Vec<TaskRecords> = update.try_into().unwrap();
        let open = |t: TaskRecords| t.records.into_iter().map(move |r| r.open(t.task).unwrap().unwrap());
        Ok(Some(tasks.into_iter().flat_map(open).collect()))
    }

    pub(crate) async fn all(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(update) = self.next().await.unwrap() {
            events.extend(update);
        }
        events
    }
}

/// The place of the nth event of an attempt, from 1.
pub(crate) fn at(epoch: u64, nth: u64) -> u64 {
    place::why(Epoch(epoch)) + nth
}

/// `1.1:hello 1.end:succeeded`, of one task.
pub(crate) fn told(events: &[Event], task: TaskId) -> String {
    let word = |event: &Event| match &event.kind {
        EventKind::Say { text, .. } | EventKind::Error { text, .. } => text.clone(),
        EventKind::Finished { outcome } => ending(outcome),
        other => format!("{other:?}"),
    };
    let placed = |event: &Event| {
        let epoch = place::epoch(event.sequence);
        if event.sequence == place::end(epoch) {
            return format!("{epoch}.end:{}", word(event));
        }
        format!("{epoch}.{}:{}", event.sequence - place::why(epoch), word(event))
    };
    events.iter().filter(|event| event.task == task).map(placed).collect::<Vec<_>>().join(" ")
}

fn ending(outcome: &TaskOutcome) -> String {
    match outcome {
        TaskOutcome::Succeeded { .. } => "succeeded".into(),
        TaskOutcome::Failed { failure } => format!("failed ({failure})"),
        TaskOutcome::Cancelled => "cancelled".into(),
    }
}
