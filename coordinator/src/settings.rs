//! What a coordinator is told at its start. Read once; nothing is looked up later.

use std::time::Duration;

use crate::identity::authority::Lives;
use crate::ledger::{ClusterSettings, Storage};
use crate::store::{Links, StoreSettings};
use crate::traces::Collector;

/// How a coordinator works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the ledger lies.
    pub storage: Storage,
    /// Its place among the coordinators of the farm.
    pub cluster: ClusterSettings,
    /// Where plans, bundles, logs and images lie; `None` for memory, or a directory beside the ledger.
    pub store: Option<StoreSettings>,
    /// How objects are reached over HTTP when the store is not a cloud's. Without it no image can be uploaded
    /// to such a store, and nothing else is missed.
    pub links: Option<Links>,
    /// The most memory for events that wait for readers, in bytes. Beyond it the oldest of the longest log
    /// go first.
    pub event_memory: usize,
    /// How long a submission waits for the first agent when there is none.
    pub agent_patience: Duration,
    /// How long a task waits while no agent that is there could take it even if it were idle. Then it fails.
    pub placement_patience: Duration,
    /// The most that one attempt may take when the task doesn't say; `None` for no bound.
    pub deadline: Option<Duration>,
    /// How long an attempt may show no progress when the task doesn't say; `None` for no bound.
    pub no_progress: Option<Duration>,
    /// How long builds are kept after their end, and agents after they left.
    pub keep: Duration,
    /// How long the certificates are good that it issues.
    pub certificates: Lives,
    /// Where traces of builds are sent; nowhere unless given.
    pub collector: Option<Collector>,
}

impl Settings {
    /// A farm that lives and ends with its process.
    pub fn farm_of_one() -> Self {
        Self {
            storage: Storage::Memory,
            cluster: ClusterSettings::alone(),
            store: None,
            links: None,
            event_memory: 128 << 20,
            agent_patience: Duration::from_secs(10),
            placement_patience: Duration::from_secs(10),
            // A build on one's own machine takes as long as it takes, as with Packer.
            deadline: None,
            no_progress: None,
            keep: Duration::from_secs(3_600),
            certificates: Lives::default(),
            collector: None,
        }
    }

    /// Whether it outlives its process, so that what agents send must be put to rest.
    pub(crate) fn is_a_farm(&self) -> bool {
        self.storage != Storage::Memory
    }

    /// Which store that is.
    pub fn store(&self) -> StoreSettings {
        match (&self.store, &self.storage) {
            (Some(store), _) => store.clone(),
            (None, Storage::Memory) => StoreSettings::Memory,
            (None, Storage::Directory(path)) => StoreSettings::Directory(path.join("objects")),
        }
    }
}
