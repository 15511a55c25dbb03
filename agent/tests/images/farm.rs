//! A farm in this process: a coordinator, an agent that holds what it is given, and a store behind HTTP that may misbehave.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use kiln_agent::image::{
    Patience, Publication, PublishError, PullError, Pulled, Sent, SourceFile, Transfer, publish, pull,
};
use kiln_agent::link::{self, Answer, AttemptKey, Attempts, Hello, Order, Questions, Stop, Voice};
use kiln_component::Reporter;
use kiln_component::reporter::EventSink;
use kiln_coordinator::http::objects;
use kiln_coordinator::{Asked, Coordinator, Evaluated, Evaluator, Handle, Links, Settings, StoreSettings};
use kiln_lang::Diagnostics;
use kiln_plan::id::AgentId;
use kiln_plan::schema::ComponentSchema;
use kiln_plan::{
    BuildPlan, Catalog, ComponentConfig, ComponentKind, DataAnswer, DataQuery, EventKind, Redactor,
    Requirements,
};
use kiln_proto::image::{ImageRecord, Provenance};
use kiln_proto::submission::SubmitRequest;
use kiln_proto::token::Bearer;
use kiln_proto::v1;
use kiln_proto::v1::images_client::ImagesClient;
use kiln_proto::v1::submission_client::SubmissionClient;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

/// What a store does to a PUT instead of obeying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers 500.
    Fails,
    /// It says nothing.
    Hangs,
    /// It says that all is well, and keeps nothing.
    Loses,
    /// It says that the link has expired.
    Forbids,
}

/// What goes wrong next, from the last to the first; and whether it goes on for ever.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) next: Mutex<Vec<Fault>>,
    pub(crate) always: Mutex<Option<Fault>>,
    pub(crate) puts: Mutex<Vec<u64>>,
}

async fn misbehave(State(faults): State<Arc<Faults>>, request: Request, next: Next) -> Response {
    if request.method() != Method::PUT {
        return next.run(request).await;
    }
    let length = request.headers().get("content-length").and_then(|l| l.to_str().ok()?.parse().ok());
    faults.puts.lock().unwrap().push(length.unwrap_or(0));
    let fault = faults.always.lock().unwrap().or_else(|| faults.next.lock().unwrap().pop());
    match fault {
        None => next.run(request).await,
        Some(Fault::Fails) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Loses) => StatusCode::OK.into_response(),
        Some(Fault::Forbids) => (StatusCode::FORBIDDEN, "Request has expired").into_response(),
        Some(Fault::Hangs) => std::future::pending().await,
    }
}

#[derive(Debug)]
struct Plans;

impl Evaluator for Plans {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let tasks: u64 = serde_json::from_slice(asked.request).unwrap();
        let plans = (0..tasks).map(plan).collect();
        Evaluated { plans, diagnostics: Diagnostics::new(), questions: Vec::new() }
    }
}

fn plan(n: u64) -> BuildPlan {
    let builder = ComponentConfig::bare(ComponentKind::Builder, "null");
    let components = ["builder/null".to_owned()].into();
    let requirements = Requirements { components, ..Requirements::default() };
    BuildPlan { requirements, ..BuildPlan::of_builder(builder, format!("t{n}")) }
}

/// Holds what it is given, and hands it to the test.
#[derive(Debug)]
struct Hands(mpsc::UnboundedSender<(Order, Voice)>);

#[async_trait]
impl Questions for Hands {
    async fn answer(&self, _query: DataQuery, _cancel: CancellationToken) -> DataAnswer {
        unreachable!("nothing is asked")
    }
}

impl Attempts for Hands {
    fn start(&self, order: Order, voice: Voice) {
        voice.running();
        let _ = self.0.send((order, voice));
    }

    fn stop(&self, _attempt: AttemptKey, _why: Stop) {}

    fn answer(&self, _attempt: AttemptKey, _answer: Answer) {}
}

#[derive(Debug, Default)]
struct Silent;

#[async_trait]
impl EventSink for Silent {
    fn send(&self, _event: EventKind) {}

    async fn ask(&self, _text: &str) -> Option<String> {
        None
    }
}

pub(crate) fn reporter() -> Reporter {
    Reporter::new(Arc::new(Silent), Arc::new(Redactor::new([])))
}

/// A farm.
pub(crate) struct Farm {
    pub(crate) handle: Handle,
    pub(crate) faults: Arc<Faults>,
    pub(crate) transfer: Transfer,
    agent: AgentId,
    orders: mpsc::UnboundedReceiver<(Order, Voice)>,
    _ends: (DropGuard, tempfile::TempDir),
}

/// An attempt that the agent holds.
pub(crate) struct Held {
    pub(crate) order: Order,
    pub(crate) voice: Voice,
}

pub(crate) fn quick() -> Patience {
    let (request, pause) = (Duration::from_millis(400), Duration::from_millis(10));
    Patience { request, pause, per_mib: Duration::from_millis(300), tries: 4, ..Patience::default() }
}

impl Farm {
    pub(crate) async fn start(store: StoreSettings) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let links = Links::new(&format!("http://{}", listener.local_addr().unwrap()), &[5; 32]);
        let settings = Settings { store: Some(store), links: Some(links.clone()), ..Settings::farm_of_one() };
        let handle = Coordinator::start(settings, Arc::new(Plans)).await.unwrap();
        let faults = Arc::new(Faults::default());
        let routes = objects::router(handle.store().clone(), links);
        let routes = routes.layer(from_fn_with_state(Arc::clone(&faults), misbehave));
        let end = CancellationToken::new();
        let ended = end.clone();
        tokio::spawn(async move {
            axum::serve(listener, routes).with_graceful_shutdown(ended.cancelled_owned()).await
        });
        let agent = AgentId::new(Uuid::from_u128(1));
        let (give, orders) = mpsc::unbounded_channel();
        let hands = Arc::new(Hands(give));
        let channel = handle.connect().await.unwrap();
        let linked = end.clone();
        tokio::spawn(async move {
            linked
                .run_until_cancelled(link::run(channel, hello(agent), (hands.clone(), hands), <_>::default()))
                .await
        });
        let transfer = Transfer::new(&[], quick()).unwrap();
        let ends = (end.drop_guard(), tempfile::tempdir().unwrap());
        Self { handle, faults, transfer, agent, orders, _ends: ends }
    }

    pub(crate) async fn in_memory() -> Self {
        Self::start(StoreSettings::Memory).await
    }

    pub(crate) fn place(&self) -> &Path {
        self._ends.1.path()
    }

    /// Submits so many tasks, and takes them.
    pub(crate) async fn take(&mut self, tasks: usize) -> Vec<Held> {
        let mut client = SubmissionClient::new(self.handle.connect().await.unwrap());
        let request =
            SubmitRequest { request: tasks.to_string().into_bytes().into(), ..SubmitRequest::default() };
        client.submit(v1::SubmitRequest::from(request)).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..tasks {
            held.push(self.next().await);
        }
        held
    }

    pub(crate) async fn next(&mut self) -> Held {
        let next = tokio::time::timeout(Duration::from_secs(20), self.orders.recv()).await;
        let (order, voice) = next.expect("a task comes soon").unwrap();
        // The lease is held once the coordinator was told.
        let task = order.attempt.task;
        self.handle.wait_until(|farm| farm.tasks()[&task].lease().is_some()).await;
        Held { order, voice }
    }

    pub(crate) fn publication(&self, held: &Held, name: &str, files: &[&str]) -> Publication {
        let source = |file: &&str| SourceFile::of(self.place().join(file), self.place());
        let AttemptKey { task, attempt, epoch } = held.order.attempt;
        let provenance = Provenance {
            build: held.order.build,
            task,
            task_name: String::new(),
            attempt,
            epoch,
            agent: self.agent,
            agent_name: String::new(),
            kiln: "0.1.0".into(),
            bundle: Some("sha256:b".into()),
            plan: None,
            inputs: vec![],
            media: vec![],
            tools: [("qemu".to_owned(), "9".to_owned())].into(),
            began_ms: 1,
            ended_ms: 2,
        };
        Publication { name: name.into(), files: files.iter().map(source).collect(), provenance }
    }

    pub(crate) async fn publish(
        &self,
        held: &Held,
        name: &str,
        files: &[&str],
    ) -> Result<(ImageRecord, Sent), PublishError> {
        let publication = self.publication(held, name, files);
        let channel = self.handle.connect().await.unwrap();
        publish(channel, &self.transfer, &publication, &reporter(), &CancellationToken::new()).await
    }

    pub(crate) async fn pull(&self, image: &str, into: Option<&str>) -> Result<Pulled, PullError> {
        let into = into.map(|into| self.place().join(into));
        let channel = InterceptedService::new(self.handle.connect().await.unwrap(), Bearer::default());
        let images = ImagesClient::new(channel);
        let what = (image, into.as_deref());
        pull(images, &self.transfer, what, &|_, _| {}, &CancellationToken::new()).await
    }

    pub(crate) async fn service(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.handle.connect().await.unwrap())
    }

    /// `debian:1 debian:2`, of what is visible.
    pub(crate) async fn visible(&self) -> String {
        let listed = self.service().await.list_images(v1::ListImagesRequest::default()).await.unwrap();
        let images = listed.into_inner().images;
        images.iter().map(|i| format!("{}:{}", i.name, i.version)).collect::<Vec<_>>().join(" ")
    }

    pub(crate) async fn collect(&self) -> v1::CollectGarbageReply {
        let request = v1::CollectGarbageRequest { dry_run: false, grace_ms: Some(0) };
        self.service().await.collect_garbage(request).await.unwrap().into_inner()
    }

    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        let path = self.place().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.place().join(file)).unwrap()
    }
}

fn hello(agent: AgentId) -> Hello {
    let null = ComponentSchema {
        kind: ComponentKind::Builder,
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
        slots: 9,
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

/// Bytes without pattern, always the same.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
