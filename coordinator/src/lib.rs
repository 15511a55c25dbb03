//! The coordinator: decides and remembers. It never runs a component and never touches image bytes.
//!
//! ```text
//!                 Submission                                       AgentLink
//!   people ──► grpc/submission ──► admission        session ◄── grpc/agent_link ◄── agents
//!                     │                │               │ ▲              │
//!                  events ◄────────────┼───────────────┼─┼──────── events
//!                                      ▼               ▼ │
//!                                   ledger: commands → state → what should be
//!                                      ▲                 │
//!                                      └── reconcile ◄───┘ (leases, assignments, retention)
//! ```
//!
//! [`Coordinator::start`] puts it together; nothing is process-global, so several may live in one process.

use std::sync::Arc;
use std::time::Duration;

use kiln_model::FarmState;
use kiln_proto::{Code, Problem};
use tonic::transport::Channel;

mod admission;
mod answers;
mod clock;
mod data_desk;
mod events;
mod grpc;
pub mod http;
mod images;
mod ledger;
mod pipe;
mod plan_store;
mod pulse;
mod reconcile;
mod roster;
mod session;
mod settings;
mod shutdown;
pub mod store;
mod vigil;

pub use admission::{Answered, Evaluated, Evaluator};
pub use ledger::{OpenLedgerError, ProposeError, Storage};
pub use pipe::ConnectError;
pub use settings::Settings;
pub use store::{Links, OpenStoreError, Store, StoreSettings};

use answers::Answers;
use clock::Clock;
use data_desk::DataDesk;
use events::Events;
use images::Images;
use ledger::Ledger;
use pipe::Dialler;
use plan_store::PlanStore;
use pulse::Pulse;
use roster::Roster;
use shutdown::Lifecycle;
use vigil::Vigil;

/// A running coordinator's parts, each built from its own settings and handed what it needs.
#[derive(Debug)]
pub struct Coordinator {
    settings: Settings,
    clock: Clock,
    ledger: Ledger,
    store: Store,
    plans: PlanStore,
    images: Images,
    events: Events,
    answers: Answers,
    data_desk: Arc<DataDesk>,
    roster: Arc<Roster>,
    evaluator: Arc<dyn Evaluator>,
    lifecycle: Lifecycle,
    vigil: Vigil,
    pulse: Pulse,
    memory: reconcile::Memory,
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
}

/// A running coordinator. It stops when the handle is dropped, but only [`Handle::shut_down`] waits for it.
#[derive(Debug)]
pub struct Handle {
    coordinator: Arc<Coordinator>,
    dialler: Dialler,
}

impl Coordinator {
    /// Starts a coordinator that is ready at once: it leads, and all that its ledger held is applied.
    ///
    /// # Errors
    /// When what it remembers could not be opened.
    pub async fn start(settings: Settings, evaluator: Arc<dyn Evaluator>) -> Result<Handle, StartError> {
        let clock = Clock::start();
        let lifecycle = Lifecycle::default();
        let mut store = Store::open(&settings.store()).map_err(StartError::Store)?;
        if let Some(links) = &settings.links {
            store = store.with_links(links.clone());
        }
        let ledger = Ledger::open(&settings.storage, clock, lifecycle.tasks()).await;
        let coordinator = Arc::new(Self {
            ledger: ledger.map_err(StartError::Ledger)?,
            events: Events::new(settings.event_memory),
            answers: Answers::default(),
            data_desk: Arc::default(),
            roster: Arc::default(),
            settings,
            clock,
            plans: PlanStore::new(store.clone()),
            images: Images::new(store.clone()),
            store,
            evaluator,
            lifecycle,
            vigil: Vigil::begin(),
            pulse: Pulse::begin(),
            memory: reconcile::Memory::default(),
        });
        coordinator.reopen_logs();
        reconcile::start(&coordinator);
        let (dialler, incoming) = pipe::pipe();
        grpc::serve(&coordinator, incoming);
        Ok(Handle { coordinator, dialler })
    }

    /// Opens logs for the builds that an earlier process left in the ledger.
    fn reopen_logs(&self) {
        self.ledger.read(|farm| {
            for build in farm.builds().values() {
                let tasks = build.tasks.iter().filter_map(|id| farm.tasks().get(id));
                self.events.reopen(build.id, tasks.map(|task| (task.id, task.epoch)));
            }
        });
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

    /// The object store; when it is not a cloud's, [`http::objects::router`] answers its links.
    pub fn store(&self) -> &Store {
        &self.coordinator.store
    }

    /// Looks at the state of the farm. Keep it short: nothing is applied meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&FarmState) -> T) -> T {
        self.coordinator.ledger.read(look)
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
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        let code = match error {
            ProposeError::TooLarge { .. } => Code::TooLarge,
            ProposeError::NotLeader | ProposeError::TimedOut | ProposeError::Stopped => Code::Unavailable,
        };
        Self::from_error(code, &error)
    }
}

impl From<ProposeError> for tonic::Status {
    fn from(error: ProposeError) -> Self {
        Problem::from(error).into()
    }
}
