//! A coordinator that wants what the test says, keeps what it is told, and speaks the genuine protocol.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use kiln_plan::BuildPlan;
use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use kiln_proto::bundle::BundleFiles;
use kiln_proto::link::{
    Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, CurrentState, DataReply,
    DesiredState, Hello, WantedAttempt,
};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_server::{AgentLink, AgentLinkServer};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// The coordinator, with a runtime of its own.
pub(crate) struct Coordinator {
    runtime: tokio::runtime::Runtime,
    socket: PathBuf,
    shared: Arc<Shared>,
    server: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    farm: Mutex<Farm>,
    changed: watch::Sender<u64>,
}

/// What it wants and knows.
#[derive(Debug, Default)]
struct Farm {
    wanted: BTreeMap<AttemptKey, Wanted>,
    drain: bool,
    bundle: Vec<u8>,
    /// Whether events are durable once they are taken.
    forgetful: bool,
    agents: Vec<AgentId>,
    hello: Option<Hello>,
    /// The first state of the last stream.
    first: Option<CurrentState>,
    last: CurrentState,
    events: BTreeMap<AttemptKey, Vec<(u64, String)>>,
    ended: BTreeMap<AttemptKey, TaskOutcome>,
}

#[derive(Clone, Debug)]
struct Wanted {
    plan: kiln_proto::Bytes,
    cancel: bool,
}

impl Coordinator {
    /// Serves at this socket.
    pub(crate) fn at(socket: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let coordinator =
            Self { runtime, socket: socket.to_owned(), shared: Arc::default(), server: Mutex::default() };
        coordinator.begin();
        coordinator
    }

    /// Begins to serve.
    pub(crate) fn begin(&self) {
        let _runtime = self.runtime.enter();
        let _ = std::fs::remove_file(&self.socket);
        let listener = tokio::net::UnixListener::bind(&self.socket).unwrap();
        let service =
            AgentLinkServer::new(Service(Arc::clone(&self.shared))).max_decoding_message_size(64 << 20);
        let serve = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(UnixListenerStream::new(listener));
        let task = self.runtime.spawn(async move { serve.await.unwrap() });
        *self.server.lock().unwrap() = Some(task);
    }

    /// Another one takes over, which knows what should be but no events.
    pub(crate) fn take_over(&self) {
        self.server.lock().unwrap().take().unwrap().abort();
        self.farm().events.clear();
        // Streams end when they are told that all has changed.
        self.shared.changed.send_replace(u64::MAX);
        self.shared.changed.send_replace(0);
        self.begin();
    }

    fn farm(&self) -> MutexGuard<'_, Farm> {
        self.shared.farm.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Farm)) {
        change(&mut self.farm());
        self.shared.changed.send_modify(|n| *n += 1);
    }

    /// Wants an attempt with this epoch to be carried out.
    pub(crate) fn want(&self, epoch: u64, plan: &BuildPlan) {
        let plan = serde_json::to_vec(plan).unwrap().into();
        self.change(|farm| drop(farm.wanted.insert(key(epoch), Wanted { plan, cancel: false })));
    }

    /// Hands out this bundle.
    pub(crate) fn keep_bundle(&self, files: &BundleFiles) {
        self.farm().bundle = files.pack().unwrap();
    }

    /// Wants it no more.
    pub(crate) fn withdraw(&self, epoch: u64) {
        self.change(|farm| drop(farm.wanted.remove(&key(epoch))));
    }

    /// Wants it to stop.
    pub(crate) fn cancel(&self, epoch: u64) {
        self.change(|farm| farm.wanted.get_mut(&key(epoch)).unwrap().cancel = true);
    }

    /// Whether the agent should take nothing new.
    pub(crate) fn drain(&self, drain: bool) {
        self.change(|farm| farm.drain = drain);
    }

    /// Makes nothing durable from now on.
    pub(crate) fn make_nothing_durable(&self) {
        self.farm().forgetful = true;
    }

    /// Makes everything durable from now on.
    pub(crate) fn make_all_durable(&self) {
        self.change(|farm| farm.forgetful = false);
    }

    /// `0:begun 1:done`
    pub(crate) fn words(&self, epoch: u64) -> String {
        let farm = self.farm();
        let events = farm.events.get(&key(epoch)).cloned().unwrap_or_default();
        let words = events.iter().filter(|(_, text)| !text.is_empty());
        words.map(|(place, text)| format!("{place}:{text}")).collect::<Vec<_>>().join(" ")
    }

    /// Whether a text was said.
    pub(crate) fn heard(&self, epoch: u64, text: &str) -> bool {
        self.words(epoch).contains(text)
    }

    /// How it ended, in words.
    pub(crate) fn end(&self, epoch: u64) -> Option<String> {
        self.farm().ended.get(&key(epoch)).map(|outcome| match outcome {
            TaskOutcome::Succeeded { .. } => "succeeded".to_owned(),
            TaskOutcome::Failed { failure } => format!("failed by {:?}: {failure}", failure.fault),
            TaskOutcome::Cancelled => "cancelled".to_owned(),
        })
    }

    /// What the agent says it has: `1 running`.
    pub(crate) fn held(&self) -> String {
        told(&self.farm().last)
    }

    /// The same, of its first words on its last stream.
    pub(crate) fn held_at_first(&self) -> String {
        self.farm().first.as_ref().map(told).unwrap_or_default()
    }

    pub(crate) fn draining(&self) -> bool {
        self.farm().last.draining
    }

    pub(crate) fn left(&self) -> bool {
        self.farm().last.leaving
    }

    /// How many streams agents have opened, and how many agents there were.
    pub(crate) fn streams(&self) -> (usize, usize) {
        let agents = self.farm().agents.clone();
        let different: std::collections::BTreeSet<_> = agents.iter().collect();
        (agents.len(), different.len())
    }

    pub(crate) fn hello(&self) -> Hello {
        self.farm().hello.clone().unwrap()
    }
}

pub(crate) fn key(epoch: u64) -> AttemptKey {
    let attempt = AttemptId::new(uuid::Uuid::from_u128(u128::from(epoch)));
    AttemptKey { task: TaskId::new(uuid::Uuid::from_u128(7)), attempt, epoch: Epoch(epoch) }
}

fn told(state: &CurrentState) -> String {
    let word = |held: &kiln_proto::link::HeldAttempt| {
        let phase = match &held.phase {
            AttemptPhase::Accepted => "accepted",
            AttemptPhase::Running => "running",
            AttemptPhase::Ended(_) => "ended",
        };
        format!("{} {phase}", held.key.epoch)
    };
    state.held.iter().map(word).collect::<Vec<_>>().join(", ")
}

impl Farm {
    fn hear(&mut self, state: CurrentState) {
        if let Some(hello) = &state.hello {
            self.agents.push(hello.agent);
            self.hello = Some(hello.clone());
            self.first = Some(state.clone());
        }
        for held in &state.held {
            if let AttemptPhase::Ended(outcome) = &held.phase
                && self.wanted.remove(&held.key).is_some()
            {
                self.ended.insert(held.key, outcome.clone());
            }
        }
        self.last = state;
    }

    fn desired(&self) -> DesiredState {
        let hold = self.wanted.iter().map(|(key, wanted)| WantedAttempt {
            key: *key,
            remaining_ms: 20_000,
            cancel: wanted.cancel,
            answers: vec![],
        });
        let missing =
            self.wanted.iter().filter(|(key, _)| self.last.held.iter().all(|held| held.key != **key));
        let begin = missing.map(|(key, wanted)| Assignment {
            build: BuildId::new(uuid::Uuid::from_u128(1)),
            key: *key,
            first_sequence: 0,
            plan: wanted.plan.clone(),
        });
        DesiredState {
            hold: hold.collect(),
            begin: begin.collect(),
            speak_within_ms: 1_000,
            drain: self.drain,
            return_within_ms: 0,
        }
    }

    fn take(&mut self, batch: AttemptEvents) -> AttemptReceipt {
        let AttemptEvents { task, epoch, records } = batch;
        let key = key(epoch.0);
        let events = self.events.entry(key).or_default();
        for record in records {
            let next = events.last().map_or(record.sequence, |(place, _)| place + 1);
            assert!(record.sequence <= next, "a gap before {}", record.sequence);
            if record.sequence == next {
                let text = match record.open(task).unwrap().unwrap().kind {
                    EventKind::Say { text, .. } | EventKind::Error { text, .. } => text,
                    _ => String::new(),
                };
                events.push((next, text));
            }
        }
        let next_sequence = events.last().map_or(0, |(place, _)| place + 1);
        let durable_sequence = if self.forgetful { 0 } else { next_sequence };
        AttemptReceipt { task, epoch, next_sequence, refused: false, durable_sequence }
    }

    /// What has become durable, unasked.
    fn durable(&self) -> v1::EventReceipt {
        let receipts: Vec<AttemptReceipt> = self
            .events
            .iter()
            .map(|(key, events)| {
                let next_sequence = events.last().map_or(0, |(place, _)| place + 1);
                let durable_sequence = if self.forgetful { 0 } else { next_sequence };
                let AttemptKey { task, epoch, .. } = *key;
                AttemptReceipt { task, epoch, next_sequence, refused: false, durable_sequence }
            })
            .collect();
        v1::EventReceipt { unasked: true, ..receipts.into() }
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl AgentLink for Service {
    type SynchronizeStream = ReceiverStream<Result<v1::DesiredState, Status>>;
    type AppendEventsStream = ReceiverStream<Result<v1::EventReceipt, Status>>;
    type AnswerQuestionsStream = ReceiverStream<Result<v1::DataQuestion, Status>>;
    type FetchBundleStream = ReceiverStream<Result<v1::FetchedPart, Status>>;

    async fn fetch_bundle(
        &self,
        _request: Request<v1::FetchBundleRequest>,
    ) -> Result<Response<Self::FetchBundleStream>, Status> {
        let packed = self.0.farm.lock().unwrap().bundle.clone();
        let (send, parts) = mpsc::channel(packed.len() + 1);
        for part in packed.chunks(100) {
            send.try_send(Ok(v1::FetchedPart { data: part.to_vec().into() })).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(parts)))
    }

    async fn synchronize(
        &self,
        request: Request<Streaming<v1::CurrentState>>,
    ) -> Result<Response<Self::SynchronizeStream>, Status> {
        let (send, states) = mpsc::channel(8);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            let mut changed = shared.changed.subscribe();
            loop {
                tokio::select! {
                    message = inbound.message() => {
                        let Ok(Some(state)) = message else { return };
                        shared.farm.lock().unwrap().hear(state.try_into().unwrap());
                    }
                    _ = changed.changed() => {
                        let ends = *changed.borrow_and_update() == 0;
                        if ends { return }
                    }
                }
                let desired = shared.farm.lock().unwrap().desired();
                if send.send(Ok(desired.into())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(states)))
    }

    async fn append_events(
        &self,
        request: Request<Streaming<v1::EventBatch>>,
    ) -> Result<Response<Self::AppendEventsStream>, Status> {
        let (send, receipts) = mpsc::channel(8);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            let mut changed = shared.changed.subscribe();
            loop {
                let receipt = tokio::select! {
                    message = inbound.message() => {
                        let Ok(Some(batch)) = message else { return };
                        let batch: Vec<AttemptEvents> = batch.try_into().unwrap();
                        let mut farm = shared.farm.lock().unwrap();
                        let taken: Vec<_> = batch.into_iter().map(|events| farm.take(events)).collect();
                        taken.into()
                    }
                    _ = changed.changed() => {
                        let ends = *changed.borrow_and_update() == 0;
                        if ends { return }
                        shared.farm.lock().unwrap().durable()
                    }
                };
                if send.send(Ok(receipt)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receipts)))
    }

    async fn answer_questions(
        &self,
        request: Request<Streaming<v1::DataReply>>,
    ) -> Result<Response<Self::AnswerQuestionsStream>, Status> {
        let (send, questions) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            while let Ok(Some(reply)) = inbound.message().await {
                let _: DataReply = reply.try_into().unwrap();
            }
            drop(send);
        });
        Ok(Response::new(ReceiverStream::new(questions)))
    }
}
