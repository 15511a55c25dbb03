//! A farm that listens, and what a test needs to come in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_coordinator::identity::{Place, announce};
use kiln_coordinator::{Begin, ClusterSettings, Coordinator, Handle, Settings, Storage, TlsDial};
use kiln_plan::Catalog;
use kiln_plan::id::AgentId;
use kiln_plan::schema::ComponentSchema;
use kiln_proto::link::{CurrentState, HeldAttempt, Hello};
use kiln_proto::token::{Bearer, Token};
use kiln_proto::transport::{Credentials, Endpoint, Identity, Limits, PrivateKey, Trust, dial};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use kiln_proto::v1::farm_client::FarmClient;
use kiln_proto::v1::identity_client::IdentityClient;
use kiln_proto::v1::submission_client::SubmissionClient;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::client::Plans;

type Shown = InterceptedService<Channel, Bearer>;

pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes far less")
}

/// A founded farm with its first operator's token.
pub(crate) struct Farm {
    pub(crate) handle: Handle,
    pub(crate) endpoint: Endpoint,
    pub(crate) operator: Token,
    pub(crate) place: Place,
    directory: tempfile::TempDir,
}

fn settings(directory: PathBuf) -> Settings {
    Settings { storage: Storage::Directory(directory), ..Settings::farm_of_one() }
}

fn member(id: u64, endpoint: &Endpoint, directory: PathBuf) -> Settings {
    let begin = if id == 1 { Begin::Found } else { Begin::Wait };
    let cluster = ClusterSettings { id, address: endpoint.to_string(), begin, ..ClusterSettings::alone() };
    Settings { cluster, ..settings(directory) }
}

async fn socket() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, endpoint)
}

async fn listen(handle: &Handle, place: &Place, limits: Limits) -> Endpoint {
    let (listener, endpoint) = socket().await;
    handle.listen(listener, &place.credentials().unwrap(), limits);
    endpoint
}

async fn start(settings: Settings, place: &Place, listener: TcpListener) -> Handle {
    let credentials = place.credentials().unwrap();
    let dial = Arc::new(TlsDial(credentials.clone()));
    let handle = Coordinator::start_among(settings, Arc::new(Plans), dial).await.unwrap();
    handle.listen(listener, &credentials, Limits { http1_too: true, ..Limits::default() });
    handle
}

impl Farm {
    pub(crate) async fn found() -> Self {
        Self::found_with(Limits::default()).await
    }

    pub(crate) async fn found_with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let settings = settings(directory.path().to_owned());
        let (handle, founded) = Coordinator::found(settings, Arc::new(Plans), &names).await.unwrap();
        let endpoint = listen(&handle, &place, limits).await;
        Self { handle, endpoint, operator: founded.operator, place, directory }
    }

    /// A farm of three, as seen from each of its coordinators. The first leads.
    pub(crate) async fn of_three() -> Vec<Self> {
        let (listener, endpoint) = socket().await;
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let settings = member(1, &endpoint, directory.path().to_owned());
        let (handle, founded) = Coordinator::found(settings.clone(), Arc::new(Plans), &[]).await.unwrap();
        handle.shut_down(Duration::from_secs(10)).await;
        let operator = founded.operator;
        let handle = start(settings, &place, listener).await;
        let mut farm = vec![Self { handle, endpoint, operator, place, directory }];
        for _ in 0..2 {
            let joined = farm[0].join().await;
            farm.push(joined);
        }
        farm
    }

    /// Another coordinator of the same farm.
    async fn join(&self) -> Self {
        let token = self.token(v1::token_use::Usage::JoinCoordinator(v1::JoinFarm {}), None).await;
        let (listener, endpoint) = socket().await;
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let known = [self.endpoint.clone()];
        let number = bounded(place.join(&known, &token, &endpoint.to_string())).await.unwrap();
        let settings = member(number, &endpoint, directory.path().to_owned());
        let handle = start(settings, &place, listener).await;
        bounded(announce(&known, &place.credentials().unwrap(), &endpoint)).await.unwrap();
        Self { handle, endpoint, operator: self.operator.clone(), place, directory }
    }

    /// The same farm after its coordinator was stopped and started.
    pub(crate) async fn restarted(self) -> Self {
        let Self { handle, operator, place, directory, .. } = self;
        handle.shut_down(Duration::from_secs(10)).await;
        let settings = settings(directory.path().to_owned());
        let handle = Coordinator::start(settings, Arc::new(Plans)).await.unwrap();
        let endpoint = listen(&handle, &place, Limits::default()).await;
        Self { handle, endpoint, operator, place, directory }
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub(crate) fn audit(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("audit/audit.jsonl")).unwrap()
    }

    pub(crate) fn channel(&self, credentials: &Credentials) -> Channel {
        dial(std::slice::from_ref(&self.endpoint), credentials)
    }

    /// A channel of somebody who has nothing but a token, shown or not.
    fn shown(&self, bearer: Bearer) -> Shown {
        let credentials = Credentials::anonymous(self.operator.trust()).unwrap();
        InterceptedService::new(self.channel(&credentials), bearer)
    }

    /// The identity service, for somebody with this token.
    pub(crate) fn identity(&self, token: &Token) -> IdentityClient<Shown> {
        IdentityClient::new(self.shown(Bearer::of(token)))
    }

    /// The identity service, for somebody who shows nothing.
    pub(crate) fn stranger(&self) -> IdentityClient<Shown> {
        IdentityClient::new(self.shown(Bearer::default()))
    }

    pub(crate) fn submission(&self, token: &Token) -> SubmissionClient<Shown> {
        SubmissionClient::new(self.shown(Bearer::of(token)))
    }

    /// The farm as a whole, for somebody with this token.
    pub(crate) fn people(&self, token: &Token) -> FarmClient<Shown> {
        FarmClient::new(self.shown(Bearer::of(token)))
    }

    /// A token that the operator makes.
    pub(crate) async fn token(&self, usage: v1::token_use::Usage, valid_ms: Option<u64>) -> Token {
        let usage = Some(v1::TokenUse { usage: Some(usage) });
        let request = v1::CreateTokenRequest { name: "test".into(), usage, valid_ms };
        let reply = bounded(self.identity(&self.operator).create_token(request)).await.unwrap();
        reply.into_inner().token.parse().unwrap()
    }

    pub(crate) async fn client_token(&self, role: v1::Role, valid_ms: Option<u64>) -> Token {
        let client = v1::Client { role: role.into(), projects: vec![] };
        self.token(v1::token_use::Usage::Client(client), valid_ms).await
    }

    pub(crate) async fn join_token(&self) -> Token {
        self.token(v1::token_use::Usage::JoinAgent(v1::JoinAgent {}), None).await
    }

    /// Uses a token up.
    pub(crate) async fn enrol(&self, token: &str, key: &PrivateKey) -> Result<v1::EnrolReply, Status> {
        let signing_request = key.request().unwrap().into();
        let request = v1::EnrolRequest { token: token.to_owned(), signing_request, name: "a1".into() };
        bounded(self.stranger().enrol(request)).await.map(tonic::Response::into_inner)
    }

    /// An agent that has enrolled.
    pub(crate) async fn agent(&self) -> Enrolled {
        let key = PrivateKey::generate().unwrap();
        let reply = self.enrol(&self.join_token().await.reveal(), &key).await.unwrap();
        let credentials = credentials(&reply.chain, &key, &reply.authority);
        Enrolled { id: reply.agent.parse().unwrap(), credentials, chain: reply.chain, key }
    }

    pub(crate) async fn revoke(&self, agent: AgentId) {
        let request = v1::RevokeAgentRequest { agent: agent.to_string() };
        bounded(self.identity(&self.operator).revoke_agent(request)).await.unwrap();
    }
}

pub(crate) fn credentials(chain: &str, key: &PrivateKey, authority: &str) -> Credentials {
    let identity = Identity::from_pem(chain.as_bytes(), key.to_pem().as_bytes()).unwrap();
    Credentials::new(identity, Trust::from_pem(authority.as_bytes()).unwrap()).unwrap()
}

/// An agent with its certificate.
pub(crate) struct Enrolled {
    pub(crate) id: AgentId,
    pub(crate) credentials: Credentials,
    pub(crate) chain: String,
    pub(crate) key: PrivateKey,
}

/// An agent's open stream.
pub(crate) struct Link {
    pub(crate) client: AgentLinkClient<Channel>,
    say: mpsc::Sender<v1::CurrentState>,
    hear: Streaming<v1::DesiredState>,
    draining: bool,
}

fn hello(agent: AgentId) -> Hello {
    let null = ComponentSchema {
        kind: kiln_plan::ComponentKind::Builder,
        name: "null".into(),
        options: vec![],
        generated: vec![],
        answer: None,
        rules: vec![],
    };
    Hello {
        agent,
        name: "a1".into(),
        version: "0".into(),
        slots: 2,
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

impl Link {
    /// Opens a stream over `channel` as the agent `claimed`.
    pub(crate) async fn open(channel: Channel, claimed: AgentId) -> Result<Self, Status> {
        let mut client = AgentLinkClient::new(channel);
        let (say, states) = mpsc::channel(1);
        let first = CurrentState { hello: Some(hello(claimed)), ..<_>::default() };
        say.send(first.into()).await.unwrap();
        let hear = bounded(client.synchronize(ReceiverStream::new(states))).await?.into_inner();
        let mut link = Self { client, say, hear, draining: false };
        link.hear().await?;
        Ok(link)
    }

    pub(crate) async fn hear(&mut self) -> Result<kiln_proto::link::DesiredState, Status> {
        let message = bounded(self.hear.message()).await?;
        Ok(message.ok_or_else(|| Status::new(Code::Ok, "the stream ended"))?.try_into().unwrap())
    }

    /// Says what it has and something new, which is answered at once, and waits for the answer.
    pub(crate) async fn exchange(
        &mut self,
        held: Vec<HeldAttempt>,
    ) -> Result<kiln_proto::link::DesiredState, Status> {
        self.draining = !self.draining;
        let state = CurrentState { held, draining: self.draining, ..CurrentState::default() };
        let ended = || Status::new(Code::Ok, "the stream ended");
        bounded(self.say.send(state.into())).await.map_err(|_| ended())?;
        self.hear().await
    }
}
