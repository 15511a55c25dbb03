//! Simulated agents: the genuine link over a TLS connection each, with hands that only note what they are given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use kiln_agent::Factories;
use kiln_agent::link::{self, Answer, AttemptKey, Attempts, Order, Questions, Stop, Voice};
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, TaskId};
use kiln_plan::{DataAnswer, DataQuery};
use kiln_proto::link::{Hello, SharedCatalog};
use kiln_proto::token::{Bearer, Token};
use kiln_proto::transport::{Credentials, Dialler, Endpoint, Identity, PrivateKey, Trust, dial};
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::Fault;

/// Agents that enrol at the same time.
const ENROL_AT_ONCE: usize = 64;

/// When each task reached an agent first, and how many did.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    first: Mutex<BTreeMap<TaskId, Instant>>,
    count: watch::Sender<u64>,
}

impl Arrivals {
    pub(super) fn of(&self, task: TaskId) -> Option<Instant> {
        self.first().get(&task).copied()
    }

    /// Waits until so many tasks have arrived.
    pub(super) async fn reach(&self, tasks: u64) {
        // The sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|count| *count >= tasks).await;
    }

    pub(super) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    fn note(&self, task: TaskId) {
        let count = {
            let mut first = self.first();
            first.entry(task).or_insert_with(Instant::now);
            first.len() as u64
        };
        self.count.send_replace(count);
    }

    fn first(&self) -> MutexGuard<'_, BTreeMap<TaskId, Instant>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An agent that has enrolled.
#[derive(Debug)]
pub(super) struct Enrolled {
    id: AgentId,
    credentials: Credentials,
}

type Identities = IdentityClient<InterceptedService<Channel, Bearer>>;

/// Enrols so many agents, each by a token of its own.
pub(super) async fn enrol(
    endpoints: &[Endpoint],
    operator: &Token,
    agents: u64,
) -> Result<Vec<Enrolled>, Fault> {
    let anonymous = Credentials::anonymous(operator.trust())?;
    let channel = dial(endpoints, &anonymous);
    let with =
        |bearer| -> Identities { IdentityClient::new(InterceptedService::new(channel.clone(), bearer)) };
    let (operators, strangers) = (with(Bearer::of(operator)), with(Bearer::default()));
    let mut under_way = JoinSet::new();
    let mut enrolled = Vec::new();
    for n in 0..agents {
        if under_way.len() >= ENROL_AT_ONCE {
            enrolled.extend(under_way.join_next().await.transpose()?.transpose()?);
        }
        under_way.spawn(enrol_one(operators.clone(), strangers.clone(), n));
    }
    while let Some(one) = under_way.join_next().await {
        enrolled.push(one??);
    }
    Ok(enrolled)
}

async fn enrol_one(mut operator: Identities, mut stranger: Identities, n: u64) -> Result<Enrolled, Fault> {
    let usage = Some(v1::TokenUse { usage: Some(v1::token_use::Usage::JoinAgent(v1::JoinAgent {})) });
    let request = v1::CreateTokenRequest { name: format!("a{n}"), usage, valid_ms: None };
    let token = operator.create_token(request).await?.into_inner().token;
    let key = PrivateKey::generate()?;
    let signing_request = key.request()?.into();
    let reply = stranger.enrol(v1::EnrolRequest { token, signing_request, name: format!("a{n}") }).await?;
    let reply = reply.into_inner();
    let identity = Identity::from_pem(reply.chain.as_bytes(), key.to_pem().as_bytes())?;
    let credentials = Credentials::new(identity, Trust::from_pem(reply.authority.as_bytes())?)?;
    Ok(Enrolled { id: reply.agent.parse()?, credentials })
}

/// Agents that are there. They go when it is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) arrivals: Arc<Arrivals>,
    /// Whether what they have ends at once; otherwise they keep it until it does.
    pub(super) works: watch::Sender<bool>,
    /// What every agent offers: all that one of this version does.
    catalog: SharedCatalog,
    links: JoinSet<()>,
}

impl Crowd {
    pub(super) fn new() -> Self {
        let catalog = Factories::builtin().catalog().into();
        Self { arrivals: Arc::default(), works: watch::Sender::new(true), catalog, links: JoinSet::new() }
    }

    /// An agent comes, by one of the coordinators at `endpoints`, the `nth` first.
    pub(super) fn add(&mut self, agent: Enrolled, endpoints: &[Endpoint], nth: usize) {
        let mut endpoints = endpoints.to_vec();
        let count = endpoints.len();
        endpoints.rotate_left(nth % count);
        let channel = Dialler::new(&endpoints, &agent.credentials).channel();
        let hands = Hands {
            arrivals: Arc::clone(&self.arrivals),
            works: self.works.subscribe(),
            held: Mutex::default(),
        };
        let hello = hello(agent.id, nth, self.catalog.clone());
        self.links.spawn(async move {
            let ended =
                link::run(channel, hello, (Arc::new(hands), Arc::new(Silent)), CancellationToken::new());
            let end = ended.await;
            tracing::warn!(?end, "a link ended");
        });
    }
}

fn hello(agent: AgentId, n: usize, catalog: SharedCatalog) -> Hello {
    Hello {
        agent,
        name: format!("a{n}"),
        version: "0".into(),
        slots: 1,
        labels: BTreeMap::new(),
        cpus: 0,
        memory_mib: 0,
        catalog,
        arch: String::new(),
        accelerators: std::collections::BTreeSet::new(),
        disk_mib: 0,
        tools: BTreeMap::new(),
    }
}

/// Takes what it is given, and does nothing else.
#[derive(Debug)]
struct Hands {
    arrivals: Arc<Arrivals>,
    works: watch::Receiver<bool>,
    held: Mutex<BTreeMap<AttemptKey, CancellationToken>>,
}

impl Hands {
    fn held(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, CancellationToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts for Hands {
    fn start(&self, order: Order, voice: Voice) {
        // Whoever sees it arrive may change what is done with the next.
        let works = *self.works.borrow();
        self.arrivals.note(order.attempt.task);
        if works {
            return voice.finish(TaskOutcome::Succeeded { artifacts: vec![] });
        }
        voice.running();
        let stopped = CancellationToken::new();
        self.held().insert(order.attempt, stopped.clone());
        let mut works = self.works.clone();
        tokio::spawn(async move {
            let done = works.wait_for(|works| *works);
            let outcome = match stopped.run_until_cancelled(done).await {
                Some(_) => TaskOutcome::Succeeded { artifacts: vec![] },
                None => TaskOutcome::Cancelled,
            };
            voice.finish(outcome);
        });
    }

    fn stop(&self, attempt: AttemptKey, _why: Stop) {
        if let Some(stopped) = self.held().remove(&attempt) {
            stopped.cancel();
        }
    }

    fn answer(&self, _attempt: AttemptKey, _answer: Answer) {}

    fn forget(&self, attempt: AttemptKey) {
        self.held().remove(&attempt);
    }
}

/// Is asked nothing.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Questions for Silent {
    async fn answer(&self, _query: DataQuery, _cancel: CancellationToken) -> DataAnswer {
        DataAnswer::failed("a simulated agent has no data sources")
    }
}
