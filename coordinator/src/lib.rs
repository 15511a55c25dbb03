//! The coordinator: decides and remembers. It never runs a component and never touches image bytes.
//!
//! ```text
//!                 Submission                                       AgentLink
//!   people ──► grpc/submission ──► admission        session ◄── grpc/agent_link ◄── agents
//!                     │                │               │ ▲              │
//!                  events ◄────────────┼───────────────┼─┼──────── events
//!                                      ▼               ▼ │
//!                                   ledger: commands → state → what should be
//!                                   ▲  ▲                 │
//!   other coordinators ◄── grpc/peer ┘  └── reconcile ◄───┘ (leases, assignments, retention)
//! ```
//!
//! Of several coordinators only the leader serves: the others pass requests on ([`forward`]), and everything that
//! isn't in the ledger lives as long as the leader's term ([`terms`]).
//!
//! [`Coordinator::start`] puts it together; nothing is process-global, so several may live in one process.

use std::sync::Arc;
use std::time::Duration;

use kiln_model::FarmState;
use kiln_proto::transport::{self, Arrival, Connection, Credentials, Lane, Limits};
use kiln_proto::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::transport::server::Connected;

mod admission;
mod answers;
mod bundles;
mod clock;
mod data_desk;
mod dialect;
mod events;
mod farm;
mod forward;
mod grpc;
pub mod http;
pub mod identity;
mod images;
mod ledger;
pub mod open_files;
mod pipe;
mod plan_store;
mod postponed;
mod pulse;
mod reconcile;
mod roster;
mod session;
mod settings;
mod shutdown;
pub mod store;
mod terms;
mod traces;
mod view;
mod vigil;

pub use admission::{Answered, Asked, Evaluated, Evaluator};
pub use identity::authority::Lives;
pub use ledger::{
    Begin, ChangeError, ClusterSettings, DialError, LEDGER_FAILED_EXIT, Leadership, LedgerFailure, Member,
    OpenLedgerError, PeerDial, ProposeError, RecoverError, Storage, TlsDial, recover,
};
pub use pipe::{ConnectError, Pipe};
pub use settings::Settings;
pub use store::{Links, OpenStoreError, Store, StoreSettings};
pub use traces::{Collector, CollectorError};

use answers::Answers;
use bundles::Bundles;
use clock::Clock;
use data_desk::DataDesk;
use events::Events;
use grpc::CrowdLayer;
use http::Meters;
use identity::Identity;
use identity::audit::{Audit, AuditError};
use identity::caller::Gatekeeper;
use identity::vault::Vault;
use identity::{FarmKeyError, Place};
use images::Images;
use ledger::{Ledger, NoPeers, Surroundings};
use pipe::Dialler;
use plan_store::PlanStore;
use postponed::Postponed;
use pulse::Pulse;
use roster::Roster;
use shutdown::Lifecycle;
use terms::Terms;
use vigil::Vigil;

/// How often a coordinator looks at least whether its own certificate should be renewed, and how often at most.
const RENEWAL_LOOK: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(1));

/// A running coordinator's parts, each built from its own settings and handed what it needs.
#[derive(Debug)]
pub struct Coordinator {
    settings: Settings,
    clock: Clock,
    ledger: Ledger,
    store: Store,
    plans: PlanStore,
    images: Images,
    bundles: Bundles,
    events: Events,
    answers: Answers,
    data_desk: Arc<DataDesk>,
    roster: Arc<Roster>,
    evaluator: Arc<dyn Evaluator>,
    lifecycle: Lifecycle,
    terms: Terms,
    vigil: Vigil,
    identity: Identity,
    pulse: Pulse,
    meters: Meters,
    memory: reconcile::Memory,
    postponed: Postponed,
    /// Shared by all wires.
    crowd: CrowdLayer,
    /// Agents that begin their streams at the same time. When ten thousand come, the others wait here and not in the way of
    /// whoever else wants something.
    arrivals: tokio::sync::Semaphore,
    /// Templates that are evaluated at the same time: it takes a thread each.
    evaluations: tokio::sync::Semaphore,
}

/// The coordinator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger failed.
    #[error("failed to start the coordinator's ledger")]
    Ledger(#[source] OpenLedgerError),
    /// The object store failed.
    #[error("failed to open the coordinator's object store")]
    Store(#[source] OpenStoreError),
    /// The farm key failed.
    #[error("failed to read the farm key")]
    FarmKey(#[source] FarmKeyError),
    /// The audit failed.
    #[error("failed to begin the audit")]
    Audit(#[source] AuditError),
}

/// A running coordinator. It stops when the handle is dropped, but only [`Handle::shut_down`] waits for it.
#[derive(Debug)]
pub struct Handle {
    coordinator: Arc<Coordinator>,
    dialler: Dialler,
}

/// Agents that may begin their streams at the same time.
const ARRIVALS: usize = 64;

/// Connections of other coordinators that may wait to be served, of each lane.
const LANE: usize = 64;

/// How many threads may be busy at once without keeping the rest of the coordinator from running.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |threads| threads.get().max(2))
}

/// A farm that keeps nothing has no keys and no audit.
fn open_identity(settings: &Settings) -> Result<Identity, StartError> {
    let Storage::Directory(directory) = &settings.storage else {
        return Ok(Identity::new(None, Audit::off()));
    };
    let place = Place::new(directory);
    let sealer = place.sealer().map_err(StartError::FarmKey)?;
    Ok(Identity::new(sealer, Audit::open(&place.audit()).map_err(StartError::Audit)?))
}

impl Coordinator {
    /// Starts a coordinator that has no others. It is ready at once: it leads, and all that its ledger held is
    /// applied.
    ///
    /// # Errors
    /// When what it remembers could not be opened.
    pub async fn start(settings: Settings, evaluator: Arc<dyn Evaluator>) -> Result<Handle, StartError> {
        Self::start_among(settings, evaluator, Arc::new(NoPeers)).await
    }

    /// Starts a coordinator that may be one of several and reaches the others by `dial`. Who leads shows in time.
    ///
    /// # Errors
    /// When what it remembers could not be opened.
    pub async fn start_among(
        settings: Settings,
        evaluator: Arc<dyn Evaluator>,
        dial: Arc<dyn PeerDial>,
    ) -> Result<Handle, StartError> {
        let clock = Clock::start();
        let lifecycle = Lifecycle::default();
        let identity = open_identity(&settings)?;
        let mut store = Store::open(&settings.store()).map_err(StartError::Store)?;
        if let Some(links) = &settings.links {
            store = store.with_links(links.clone());
        }
        let vault = Vault::new(store.clone(), identity.sealer());
        let ledger = Ledger::open(Surroundings {
            storage: &settings.storage,
            cluster: &settings.cluster,
            dial,
            clock: clock.clone(),
            tasks: lifecycle.tasks(),
        })
        .await;
        let coordinator = Arc::new(Self {
            ledger: ledger.map_err(StartError::Ledger)?,
            events: Events::new(settings.event_memory, settings.is_a_farm().then(|| store.clone())),
            answers: Answers::default(),
            data_desk: Arc::default(),
            roster: Arc::default(),
            settings,
            clock,
            images: Images::new(store.clone()),
            plans: PlanStore::new(vault.clone()),
            bundles: Bundles::new(vault),
            store,
            evaluator,
            lifecycle,
            terms: Terms::default(),
            vigil: Vigil::begin(),
            identity,
            pulse: Pulse::begin(),
            meters: Meters::default(),
            memory: reconcile::Memory::default(),
            postponed: Postponed::default(),
            crowd: CrowdLayer::new(),
            arrivals: tokio::sync::Semaphore::new(ARRIVALS),
            evaluations: tokio::sync::Semaphore::new(threads()),
        });
        terms::start(&coordinator);
        reconcile::start(&coordinator);
        traces::start(&coordinator);
        let (dialler, incoming) = pipe::pipe();
        grpc::serve(&coordinator, Lane::Crowd, incoming);
        Ok(Handle { coordinator, dialler })
    }
}

impl Handle {
    /// A channel to this coordinator's services over a pipe in memory: the genuine protocol, without a network.
    ///
    /// # Errors
    /// When the coordinator has stopped.
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        self.dialler.connect().await
    }

    /// Serves all services to whoever comes in, until the coordinator closes.
    pub fn serve<I, C>(&self, incoming: I)
    where
        I: Stream<Item = std::io::Result<C>> + Send + 'static,
        C: AsyncRead + AsyncWrite + Connected<ConnectInfo = Arrival> + Unpin + Send + 'static,
    {
        grpc::serve(&self.coordinator, Lane::Crowd, incoming);
    }

    /// Who leads, and every change of it.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.coordinator.ledger.leadership()
    }

    /// The coordinators of the cluster, as this one knows them.
    pub fn members(&self) -> Vec<Member> {
        self.coordinator.ledger.members()
    }

    /// Makes a coordinator a voter; on the leader only. It is brought up to date first. One that votes already at
    /// another address is told to all to have moved.
    ///
    /// # Errors
    /// When it could not be brought up to date, or no majority agrees.
    pub async fn add_voter(&self, id: u64, address: &str) -> Result<(), ChangeError> {
        self.coordinator.ledger.add_voter(id, address).await
    }

    /// Takes a coordinator out of the cluster; on the leader only. If it led, the others elect another.
    ///
    /// # Errors
    /// When it is the only voter, or no majority agrees.
    pub async fn remove_voter(&self, id: u64) -> Result<(), ChangeError> {
        self.coordinator.ledger.remove_voter(id).await
    }

    /// Puts one coordinator in the place of another: adds it, then removes the other, so that there are never fewer
    /// voters than before.
    ///
    /// # Errors
    /// As [`Handle::add_voter`] and [`Handle::remove_voter`]; what was done stays done, and asking again goes on.
    pub async fn replace_voter(&self, old: u64, new: u64, address: &str) -> Result<(), ChangeError> {
        self.coordinator.ledger.add_voter(new, address).await?;
        self.coordinator.ledger.remove_voter(old).await
    }

    /// Waits until the ledger fails for good: then this coordinator serves nobody any more and should end with
    /// [`LEDGER_FAILED_EXIT`]. Pending for ever when it is shut down instead.
    pub async fn failed(&self) -> LedgerFailure {
        self.coordinator.ledger.failed().await
    }

    /// Looks at the state of the farm with everything in it that was answered to anybody before; on the leader only.
    ///
    /// # Errors
    /// When this coordinator doesn't lead, or no majority confirms it in time.
    pub async fn read_linearizable<T>(&self, look: impl FnOnce(&FarmState) -> T) -> Result<T, ProposeError> {
        self.coordinator.ledger.read_linearizable(look).await
    }

    /// The object store; when it is not a cloud's, [`http::objects::router`] answers its links.
    pub fn store(&self) -> &Store {
        &self.coordinator.store
    }

    /// Serves whoever comes in over TLS, until the coordinator closes: gRPC and HTTP over HTTP/2, and HTTP over HTTP/1.1 where
    /// `limits` allow it.
    pub fn listen(&self, listener: TcpListener, credentials: &Credentials, limits: Limits) {
        let accepted = transport::accept(listener, credentials.clone(), limits);
        let old = http::Old::new(&self.coordinator);
        let (consensus, coordinators) = (self.lane(Lane::Consensus), self.lane(Lane::Coordinators));
        let crowd = accepted.filter_map(move |connection| {
            let connection = match connection {
                Ok(connection) => connection,
                Err(error) => return Some(Err(error)),
            };
            // One that finds its lane full is closed, and comes again.
            match connection.lane() {
                Lane::Http1 => old.serve(connection),
                Lane::Consensus => drop(consensus.try_send(Ok(connection))),
                Lane::Coordinators => drop(coordinators.try_send(Ok(connection))),
                Lane::Crowd => return Some(Ok(connection)),
            }
            None
        });
        grpc::serve(&self.coordinator, Lane::Crowd, crowd);
    }

    /// Serves the connections of a lane that are put into it.
    fn lane(&self, lane: Lane) -> mpsc::Sender<std::io::Result<Connection>> {
        let (put, incoming) = mpsc::channel(LANE);
        grpc::serve(&self.coordinator, lane, ReceiverStream::new(incoming));
        put
    }

    /// Answers over HTTP without TLS what is no secret: health, figures, and the objects of a store that is not a cloud's,
    /// to those who have a signed link.
    pub fn listen_plainly(&self, listener: TcpListener) {
        http::serve_plain(&self.coordinator, listener);
    }

    /// Renews this coordinator's own certificate in time, for as long as it runs.
    pub fn keep_certificate(&self, place: Place, credentials: Credentials) {
        let coordinator = Arc::clone(&self.coordinator);
        let closing = coordinator.lifecycle.closing().clone();
        self.coordinator.lifecycle.servers().spawn(closing.run_until_cancelled_owned(async move {
            loop {
                match coordinator.renew_own(&place, &credentials) {
                    Ok(true) => tracing::info!("this coordinator's certificate was renewed"),
                    Ok(false) => {}
                    Err(error) => {
                        let error = kiln_plan::fault::chain(&error);
                        tracing::error!(error, "this coordinator's certificate could not be renewed");
                    }
                }
                let now = Duration::from_millis(coordinator.clock.now().0);
                let (at_least, at_most) = RENEWAL_LOOK;
                tokio::time::sleep(credentials.until_next_look(now).clamp(at_most, at_least)).await;
            }
        }));
    }

    /// Tells callers of requests apart, for other servers than that of gRPC.
    pub fn gatekeeper(&self) -> Gatekeeper {
        Gatekeeper(Arc::clone(&self.coordinator))
    }

    /// Looks at the state of the farm, as far as this coordinator knows it. Keep it short: nothing is applied
    /// meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&FarmState) -> T) -> T {
        self.coordinator.ledger.read(look)
    }

    /// How many agents have their streams here: none unless this coordinator leads.
    pub fn connected_agents(&self) -> usize {
        self.coordinator.roster.count()
    }

    /// Waits until the farm's state satisfies a condition. The caller bounds it.
    pub async fn wait_until(&self, holds: impl Fn(&FarmState) -> bool) {
        let mut changes = self.coordinator.ledger.changes();
        while !self.read(&holds) && changes.changed().await.is_ok() {}
    }

    /// Stops in order: streams, then reconcilers, then the ledger. What has not ended after `grace` is left behind.
    pub async fn shut_down(self, grace: Duration) {
        shutdown::shut_down(&self.coordinator, grace).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.coordinator.lifecycle.abandon();
        self.coordinator.ledger.abandon();
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        let code = match error {
            ProposeError::TooLarge { .. } => Code::TooLarge,
            ProposeError::NotLeader
            | ProposeError::Interrupted
            | ProposeError::TimedOut
            | ProposeError::Stopped => Code::Unavailable,
        };
        Self::from_error(code, &error)
    }
}

impl From<ProposeError> for tonic::Status {
    fn from(error: ProposeError) -> Self {
        Problem::from(error).into()
    }
}
