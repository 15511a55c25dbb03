//! A false agent: speaks the genuine protocol, and does what a test tells it.

use std::collections::BTreeMap;

use kiln_coordinator::Handle;
use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::id::AgentId;
use kiln_plan::schema::ComponentSchema;
use kiln_plan::{Catalog, ComponentKind};
use kiln_proto::event::Record;
use kiln_proto::link::{
    Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, CurrentState, DesiredState,
    HeldAttempt, Hello,
};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::client::{at, bounded};

/// A false agent with its stream.
pub(crate) struct FakeAgent {
    client: AgentLinkClient<tonic::transport::Channel>,
    say: mpsc::Sender<v1::CurrentState>,
    hear: Streaming<v1::DesiredState>,
    pub(crate) held: Vec<HeldAttempt>,
    /// The place after the last event of each attempt that it told of.
    said: BTreeMap<AttemptKey, u64>,
    pub(crate) desired: DesiredState,
}

pub(crate) fn agent_id(n: u128) -> AgentId {
    AgentId::new(Uuid::from_u128(n))
}

fn hello(n: u128, slots: u32) -> Hello {
    let null = ComponentSchema {
        kind: ComponentKind::Builder,
        name: "null".into(),
        options: vec![],
        generated: vec![],
        answer: None,
        rules: vec![],
    };
    Hello {
        agent: agent_id(n),
        name: format!("a{n}"),
        version: "0".into(),
        slots,
        labels: std::collections::BTreeMap::new(),
        cpus: 0,
        memory_mib: 0,
        catalog: Catalog { components: vec![null] }.into(),
        arch: String::new(),
        accelerators: std::collections::BTreeSet::new(),
        disk_mib: 0,
        tools: std::collections::BTreeMap::new(),
    }
}

impl FakeAgent {
    pub(crate) async fn connect(farm: &Handle, n: u128, slots: u32) -> Self {
        Self::connect_with(farm, n, slots, vec![]).await
    }

    /// Connects with attempts that it has from an earlier connection.
    pub(crate) async fn connect_with(farm: &Handle, n: u128, slots: u32, held: Vec<HeldAttempt>) -> Self {
        let mut client = AgentLinkClient::new(farm.connect().await.unwrap());
        let (say, states) = mpsc::channel(1);
        let first = CurrentState { hello: Some(hello(n, slots)), held: held.clone(), ..<_>::default() };
        say.send(first.into()).await.unwrap();
        let hear = bounded(client.synchronize(ReceiverStream::new(states))).await.unwrap().into_inner();
        let said = BTreeMap::new();
        let mut agent = Self { client, say, hear, held, said, desired: DesiredState::default() };
        agent.hear().await.unwrap();
        agent
    }

    /// The next desired state.
    pub(crate) async fn hear(&mut self) -> Result<(), Status> {
        let message = bounded(self.hear.message()).await?;
        let ended = || Status::unavailable("the stream ended");
        // What is to be begun comes once, in as many messages as it takes.
        let begin = std::mem::take(&mut self.desired.begin);
        self.desired = message.ok_or_else(ended)?.try_into().unwrap();
        self.desired.begin.splice(0..0, begin);
        Ok(())
    }

    /// Waits for a desired state of this kind.
    pub(crate) async fn until(&mut self, holds: impl Fn(&DesiredState) -> bool) {
        while !holds(&self.desired) {
            self.hear().await.unwrap();
        }
    }

    /// Takes up the next assignments, at least one, and says that it works on them.
    pub(crate) async fn take(&mut self) -> Vec<Assignment> {
        self.until(|desired| !desired.begin.is_empty()).await;
        let begun = std::mem::take(&mut self.desired.begin);
        let running = |a: &Assignment| HeldAttempt {
            key: a.key,
            phase: AttemptPhase::Running,
            idle_ms: None,
            said: None,
        };
        self.held.extend(begun.iter().map(running));
        self.say().await;
        begun
    }

    /// Says what it has.
    pub(crate) async fn say(&self) {
        let state = CurrentState { held: self.held.clone(), ..CurrentState::default() };
        bounded(self.say.send(state.into())).await.unwrap();
    }

    /// Says goodbye, and waits for the end of the stream.
    pub(crate) async fn leave(mut self) {
        let state = CurrentState { draining: true, leaving: true, ..CurrentState::default() };
        bounded(self.say.send(state.into())).await.unwrap();
        while self.hear().await.is_ok() {}
    }

    /// Reports the end of attempts, without waiting.
    pub(crate) async fn report(&mut self, ends: &[(AttemptKey, TaskOutcome)]) {
        for (key, outcome) in ends {
            self.held.retain(|held| held.key != *key);
            self.held.push(HeldAttempt {
                key: *key,
                phase: AttemptPhase::Ended(outcome.clone()),
                idle_ms: None,
                said: self.said.get(key).copied(),
            });
        }
        self.say().await;
    }

    /// Reports the end of an attempt, and waits until it is no longer wanted.
    pub(crate) async fn end(&mut self, key: AttemptKey, outcome: TaskOutcome) {
        self.report(&[(key, outcome)]).await;
        self.until(|desired| desired.hold.iter().all(|wanted| wanted.key != key)).await;
        self.held.retain(|held| held.key != key);
    }

    /// Appends events, of which the first is the nth of the attempt, from 1, and returns how far they were taken.
    pub(crate) async fn append(&mut self, key: AttemptKey, nth: u64, words: &[&str]) -> AttemptReceipt {
        let say = |text: &&str| EventKind::Say { speaker: None, text: (*text).to_owned() };
        let first = at(key.epoch.0, nth);
        let records = (first..).zip(words).map(|(place, text)| Record::new(place, 5, &say(text))).collect();
        self.said.insert(key, first + words.len() as u64);
        let batch = vec![AttemptEvents { task: key.task, epoch: key.epoch, records }];
        let batch = v1::EventBatch::from(batch);
        let taken = async {
            loop {
                let batches = tokio_stream::once(batch.clone());
                let mut receipts = self.client.append_events(batches).await.unwrap().into_inner();
                match receipts.message().await {
                    Ok(receipt) => break Vec::<AttemptReceipt>::try_from(receipt.unwrap()).unwrap()[0],
                    // A leader that has just begun to lead knows soon what it lacks.
                    Err(status) if status.code() == tonic::Code::Unavailable => {
                        tokio::task::yield_now().await;
                    }
                    Err(status) => panic!("{status}"),
                }
            }
        };
        bounded(taken).await
    }

    /// Carries out everything at once, until so many tasks are done. Returns the most it had at a time.
    pub(crate) async fn work(&mut self, mut tasks: usize) -> usize {
        let mut most = 0;
        while tasks > 0 {
            let begun = self.take().await;
            most = most.max(self.held.len());
            for assignment in &begun {
                assert_eq!(assignment.first_sequence, at(assignment.key.epoch.0, 1));
                self.append(assignment.key, 1, &["working"]).await;
            }
            tasks -= begun.len();
            let succeeded = TaskOutcome::Succeeded { artifacts: vec![] };
            let ends: Vec<_> = begun.iter().map(|a| (a.key, succeeded.clone())).collect();
            self.report(&ends).await;
            let done = |desired: &DesiredState| {
                desired.hold.iter().all(|wanted| ends.iter().all(|(key, _)| wanted.key != *key))
            };
            self.until(done).await;
            self.held.clear();
        }
        most
    }
}
