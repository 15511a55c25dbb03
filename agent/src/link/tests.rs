//! The link against a scripted coordinator behind the genuine protocol: what it says, when, and what it does
//! when the connection breaks.

use std::sync::Mutex;

use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::id::{AgentId, AttemptId, Epoch, TaskId};
use kiln_plan::{Catalog, ComponentConfig, ComponentKind, ConfigBody, Fault};
use kiln_proto::link::{
    Assignment, AttemptEvents, AttemptPhase, AttemptReceipt, CurrentState, DataQuestion, DataReply,
    DesiredState, WantedAttempt,
};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_server::{AgentLink, AgentLinkServer};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::*;

/// What reaches the scripted coordinator.
#[derive(Debug)]
enum Said {
    /// A stream was opened; its other end is for the script.
    Opened(mpsc::Sender<Result<v1::DesiredState, Status>>),
    State(Box<CurrentState>),
    Answered(String),
}

#[derive(Debug)]
struct Script {
    said: mpsc::UnboundedSender<Said>,
    events: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl AgentLink for Script {
    type SynchronizeStream = ReceiverStream<Result<v1::DesiredState, Status>>;
    type AppendEventsStream = ReceiverStream<Result<v1::EventReceipt, Status>>;
    type AnswerQuestionsStream = ReceiverStream<Result<v1::DataQuestion, Status>>;
    type FetchBundleStream = ReceiverStream<Result<v1::FetchedPart, Status>>;

    async fn fetch_bundle(
        &self,
        _request: Request<v1::FetchBundleRequest>,
    ) -> Result<Response<Self::FetchBundleStream>, Status> {
        Err(Status::not_found("there are no bundles"))
    }

    /// Asks two questions, of which it takes one back, and notes what is answered.
    async fn answer_questions(
        &self,
        request: Request<Streaming<v1::DataReply>>,
    ) -> Result<Response<Self::AnswerQuestionsStream>, Status> {
        let (send, questions) = mpsc::channel(8);
        let said = self.said.clone();
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            while let Ok(Some(reply)) = inbound.message().await {
                match reply.try_into().unwrap() {
                    DataReply::Seated(_) => {
                        for (number, id) in [(1, Some("slow")), (2, Some("quick")), (1, None)] {
                            let query = id.map(query);
                            send.send(Ok(DataQuestion { number, query }.into())).await.unwrap();
                        }
                    }
                    DataReply::Answered { number, answer } => {
                        let told = format!("{number}: {}", answer.outcome.unwrap_err());
                        let _ = said.send(Said::Answered(told));
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(questions)))
    }

    async fn synchronize(
        &self,
        request: Request<Streaming<v1::CurrentState>>,
    ) -> Result<Response<Self::SynchronizeStream>, Status> {
        let (send, states) = mpsc::channel(8);
        let said = self.said.clone();
        // A script that is over listens no more.
        let _ = said.send(Said::Opened(send));
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            while let Ok(Some(state)) = inbound.message().await {
                let _ = said.send(Said::State(Box::new(state.try_into().unwrap())));
            }
        });
        Ok(Response::new(ReceiverStream::new(states)))
    }

    async fn append_events(
        &self,
        request: Request<Streaming<v1::EventBatch>>,
    ) -> Result<Response<Self::AppendEventsStream>, Status> {
        let (send, receipts) = mpsc::channel(8);
        let events = Arc::clone(&self.events);
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            while let Ok(Some(batch)) = inbound.message().await {
                let batch: Vec<AttemptEvents> = batch.try_into().unwrap();
                let receipts: Vec<_> = batch.iter().map(|attempt| take(attempt, &events)).collect();
                if send.send(Ok(receipts.into())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receipts)))
    }
}

fn query(id: &str) -> DataQuery {
    let component = ComponentConfig {
        kind: ComponentKind::DataSource,
        name: "null".into(),
        span: None,
        body: ConfigBody::default(),
    };
    let facts = kiln_plan::build::TemplateContext::default();
    DataQuery { id: id.to_owned(), component, facts, locals: std::collections::BTreeMap::new() }
}

/// Answers quick questions with their names, slow ones once nobody waits for them.
#[async_trait]
impl Questions for Hands {
    async fn answer(&self, query: DataQuery, cancel: CancellationToken) -> DataAnswer {
        if query.id == "slow" {
            cancel.cancelled().await;
            return DataAnswer::failed("taken back");
        }
        DataAnswer::failed(query.id)
    }
}

fn take(attempt: &AttemptEvents, events: &Mutex<Vec<String>>) -> AttemptReceipt {
    let mut next_sequence = 0;
    for record in &attempt.records {
        next_sequence = record.sequence + 1;
        if let Some(EventKind::Say { text, .. }) = record.open(attempt.task).unwrap().map(|event| event.kind)
        {
            events.lock().unwrap().push(format!("{}:{text}", record.sequence));
        }
    }
    let AttemptEvents { task, epoch, .. } = *attempt;
    AttemptReceipt { task, epoch, next_sequence, refused: false, durable_sequence: next_sequence }
}

/// Writes down what it is asked, and keeps the voices.
#[derive(Debug, Default)]
struct Hands {
    asked: Mutex<Vec<String>>,
    voices: Mutex<Vec<Voice>>,
    rung: tokio::sync::Notify,
}

impl Hands {
    fn note(&self, line: String) {
        self.asked.lock().unwrap().push(line);
        self.rung.notify_one();
    }

    fn voice(&self) -> Voice {
        self.voices.lock().unwrap()[0].clone()
    }

    async fn asked(&self, lines: usize) -> String {
        while self.asked.lock().unwrap().len() < lines {
            bounded(self.rung.notified()).await;
        }
        self.asked.lock().unwrap().join(", ")
    }
}

impl Attempts for Hands {
    fn start(&self, order: Order, voice: Voice) {
        self.voices.lock().unwrap().push(voice);
        self.note(format!("start {}", order.plan.name));
    }

    fn stop(&self, attempt: AttemptKey, why: Stop) {
        self.note(format!("stop {} {why:?}", attempt.epoch));
    }

    fn answer(&self, _attempt: AttemptKey, answer: Answer) {
        self.note(format!("answer {} {}", answer.question, answer.text));
    }
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3_600), future).await.expect("it takes far less")
}

/// An agent's link with its scripted coordinator.
struct Play {
    said: mpsc::UnboundedReceiver<Said>,
    tell: mpsc::Sender<Result<v1::DesiredState, Status>>,
    events: Arc<Mutex<Vec<String>>>,
    hands: Arc<Hands>,
    drain: CancellationToken,
    link: tokio::task::JoinHandle<LinkEnd>,
}

impl Play {
    /// Opens the link, and takes the first state.
    async fn open() -> (Self, CurrentState) {
        let (said, listen) = mpsc::unbounded_channel();
        let events = Arc::default();
        let script = Script { said, events: Arc::clone(&events) };
        let (accept, accepted) = mpsc::channel::<DuplexStream>(4);
        let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
        tokio::spawn(
            Server::builder().add_service(AgentLinkServer::new(script)).serve_with_incoming(incoming),
        );
        let dial = move |_| {
            let (near, far) = tokio::io::duplex(1 << 16);
            let accept = accept.clone();
            async move {
                let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                accept.send(far).await.map_err(gone)?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(near))
            }
        };
        let channel = Endpoint::from_static("http://farm.invalid")
            .connect_with_connector(tower::service_fn(dial))
            .await
            .unwrap();
        let hands = Arc::new(Hands::default());
        let drain = CancellationToken::new();
        let both = (Arc::clone(&hands) as Arc<dyn Attempts>, Arc::clone(&hands) as Arc<dyn Questions>);
        let link = tokio::spawn(run(channel, hello(), both, drain.clone()));
        let (tell, _) = mpsc::channel(1);
        let mut play = Self { said: listen, tell, events, hands, drain, link };
        let first = play.opened().await;
        (play, first)
    }

    /// The first state on the next stream.
    async fn opened(&mut self) -> CurrentState {
        loop {
            if let Said::Opened(tell) = bounded(self.said.recv()).await.unwrap() {
                self.tell = tell;
                return self.state().await;
            }
        }
    }

    async fn state(&mut self) -> CurrentState {
        loop {
            if let Said::State(state) = bounded(self.said.recv()).await.unwrap() {
                return *state;
            }
        }
    }

    /// Waits for a state that looks so.
    async fn until(&mut self, expected: &str) {
        while told(&self.state().await) != expected {}
    }

    async fn tell(&self, hold: Vec<WantedAttempt>, begin: Vec<Assignment>) {
        let state = DesiredState { hold, begin, speak_within_ms: 5_000, drain: false, return_within_ms: 0 };
        self.tell.send(Ok(state.into())).await.unwrap();
    }
}

fn hello() -> Hello {
    Hello {
        agent: AgentId::new(Uuid::from_u128(1)),
        name: "host".into(),
        version: "0".into(),
        slots: 4,
        labels: std::collections::BTreeMap::new(),
        cpus: 0,
        memory_mib: 0,
        catalog: Catalog::default().into(),
        arch: String::new(),
        accelerators: std::collections::BTreeSet::new(),
        disk_mib: 0,
        tools: std::collections::BTreeMap::new(),
    }
}

fn key(epoch: u64) -> AttemptKey {
    let attempt = AttemptId::new(Uuid::from_u128(u128::from(epoch)));
    AttemptKey { task: TaskId::new(Uuid::from_u128(7)), attempt, epoch: Epoch(epoch) }
}

fn wanted(epoch: u64) -> WantedAttempt {
    WantedAttempt { key: key(epoch), remaining_ms: 20_000, cancel: false, answers: vec![] }
}

fn assignment(format: u32) -> Assignment {
    let plan = serde_json::json!({
        "format": format, "name": "null.a", "source_name": "a", "dialect": "Hcl2",
        "builder": {"kind": "Builder", "name": "null", "span": null, "body": {"items": []}},
        "provisioners": [], "error_cleanup": null, "post_processors": [],
        "facts": {"user_variables": {}, "template_dir": "", "working_dir": "", "started_ns": 0,
                  "core_version": "", "run_uuid": ""},
        "options": {"force": false, "debug": false, "on_error": "Cleanup"}, "secrets": [],
        "requirements": {"components": [], "labels": {}, "cpus": 0, "memory_mib": 0},
    });
    let build = BuildId::new(Uuid::from_u128(2));
    Assignment { build, key: key(1), first_sequence: 0, plan: plan.to_string().into_bytes().into() }
}

/// `1 running`, by epoch.
fn told(state: &CurrentState) -> String {
    let word = |held: &kiln_proto::link::HeldAttempt| {
        let phase = match &held.phase {
            AttemptPhase::Accepted => "accepted".to_owned(),
            AttemptPhase::Running => "running".to_owned(),
            AttemptPhase::Ended(TaskOutcome::Failed { failure }) => format!("failed: {failure}"),
            AttemptPhase::Ended(_) => "ended".to_owned(),
        };
        format!("{} {phase}", held.key.epoch)
    };
    state.held.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn say(text: &str) -> EventKind {
    EventKind::Say { speaker: None, text: text.into() }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_begun_told_and_reported() {
    let (mut play, first) = Play::open().await;
    assert_eq!((first.hello.unwrap(), first.held.len()), (hello(), 0));
    play.tell(vec![wanted(1)], vec![assignment(1)]).await;
    assert_eq!(play.hands.asked(1).await, "start null.a");
    let voice = play.hands.voice();
    voice.running();
    play.until("1 running").await;
    voice.say(&say("hello"));
    voice.finish(TaskOutcome::Cancelled);
    play.until("1 ended").await;
    assert_eq!(*play.events.lock().unwrap(), ["0:hello"], "events come before the report");
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_every_five_seconds() {
    let (mut play, _) = Play::open().await;
    play.tell(vec![], vec![]).await;
    let before = Instant::now();
    for _ in 0..3 {
        play.state().await;
        play.tell(vec![], vec![]).await;
    }
    let took = before.elapsed().as_secs();
    assert!((14..=16).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_made_again_and_nothing_is_lost() {
    let (mut play, _) = Play::open().await;
    play.tell(vec![wanted(1)], vec![assignment(1)]).await;
    play.hands.asked(1).await;
    play.hands.voice().running();
    play.until("1 running").await;
    play.tell.send(Err(Status::unavailable("restart"))).await.unwrap();
    let again = play.opened().await;
    assert_eq!((told(&again), again.hello.is_some()), ("1 running".into(), true));
    play.tell(vec![wanted(1)], vec![]).await;
    play.hands.voice().say(&say("still here"));
    play.hands.voice().finish(TaskOutcome::Cancelled);
    play.until("1 ended").await;
    assert_eq!(*play.events.lock().unwrap(), ["0:still here"]);
    assert_eq!(play.hands.asked(1).await, "start null.a", "and nothing was begun again");
}

#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_is_given_up_after_a_lease_and_its_attempts_after_ten_minutes() {
    let (mut play, _) = Play::open().await;
    play.tell(vec![wanted(1)], vec![assignment(1)]).await;
    play.hands.asked(1).await;
    let before = Instant::now();
    play.opened().await;
    let took = before.elapsed().as_secs();
    assert!((20..=25).contains(&took), "{took} s");
    while play.hands.asked.lock().unwrap().len() < 2 {
        play.opened().await;
    }
    let took = before.elapsed().as_secs();
    assert!((600..=630).contains(&took), "{took} s");
    assert_eq!(play.hands.asked(2).await, "start null.a, stop 1 Lost");
}

#[tokio::test(start_paused = true)]
async fn wishes_reach_the_hands() {
    let (play, _) = Play::open().await;
    let answers = vec![Answer { question: 3, text: "yes".into() }];
    let cancelled = WantedAttempt { cancel: true, answers, ..wanted(1) };
    play.tell(vec![wanted(1)], vec![assignment(1)]).await;
    play.tell(vec![cancelled], vec![]).await;
    play.tell(vec![], vec![]).await;
    assert_eq!(play.hands.asked(4).await, "start null.a, stop 1 Cancelled, answer 3 yes, stop 1 Lost");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_breaks_off_or_cannot_be_read_has_failed() {
    for (format, expected) in [
        (1, "1 failed: the attempt broke off without a word"),
        (9, "1 failed: the plan has format 9, this agent reads up to 1"),
    ] {
        let (mut play, _) = Play::open().await;
        play.tell(vec![wanted(1)], vec![assignment(format)]).await;
        if format == 1 {
            play.hands.asked(1).await;
            play.hands.voices.lock().unwrap().clear();
        }
        let mut state = play.state().await;
        while told(&state) != expected {
            state = play.state().await;
        }
        let AttemptPhase::Ended(TaskOutcome::Failed { failure }) = &state.held[0].phase else {
            unreachable!()
        };
        assert_eq!(failure.fault, Fault::Machine);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_agent_finishes_its_work_and_says_goodbye() {
    let (mut play, _) = Play::open().await;
    play.tell(vec![wanted(1)], vec![assignment(1)]).await;
    play.hands.asked(1).await;
    play.drain.cancel();
    while !play.state().await.draining {}
    play.hands.voice().finish(TaskOutcome::Cancelled);
    play.until("1 ended").await;
    play.tell(vec![], vec![]).await;
    while !play.state().await.leaving {}
    assert_eq!(bounded(&mut play.link).await.unwrap(), LinkEnd::Left);
}

#[tokio::test(start_paused = true)]
async fn a_drained_agent_without_work_leaves_at_once() {
    // Which of two things that happen at once is noticed first is a matter of chance, hence all distances.
    for distance in (0..40).chain(0..40) {
        let (mut play, _) = Play::open().await;
        let before = Instant::now();
        play.tell(vec![], vec![]).await;
        for _ in 0..distance {
            tokio::task::yield_now().await;
        }
        play.drain.cancel();
        while !play.state().await.leaving {}
        assert_eq!(before.elapsed().as_secs(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_does_not_understand_ends_the_link() {
    let (mut play, _) = Play::open().await;
    play.tell.send(Err(Status::invalid_argument("too old"))).await.unwrap();
    let end = bounded(&mut play.link).await.unwrap();
    assert!(matches!(&end, LinkEnd::Rejected(problem) if problem.message == "too old"), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_as_they_can_be_and_given_up_when_nobody_waits() {
    let (mut play, _) = Play::open().await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        if let Said::Answered(told) = bounded(play.said.recv()).await.unwrap() {
            answers.push(told);
        }
    }
    answers.sort();
    assert_eq!(answers, ["1: taken back", "2: quick"]);
}
