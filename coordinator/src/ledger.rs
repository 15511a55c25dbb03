//! The ordered, replicated commands, and the state they lead to. The only door to the Raft crate.
//!
//! ```text
//!   propose ──► proposer ── one entry for all that waits ──► Raft ──► log store (redb)
//!                   ▲                                          │ committed
//!                   └────────────── outcomes ◄── state machine ◄┘ ──► changes()
//!                                                    │
//!                                       read(|farm| …)
//! ```
//!
//! There is one implementation: a farm of one is a Raft with one voter, which elects itself at once, over a
//! database in memory. Growing from one machine to three is adding members, not a migration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_model::{Action, FarmState, Outcome};
use openraft::{BasicNode, Config, Raft, ServerState, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod codec;
mod log_store;
mod peers;
mod proposer;
mod state_machine;
mod store;
mod types;

#[cfg(test)]
mod tests;

use self::log_store::LogStore;
use self::proposer::Proposal;
use self::state_machine::{Applied, StateMachine};
use self::store::Store;
use self::types::Types;
use crate::clock::Clock;

/// The name of the only voter, until there are more.
const SELF: u64 = 1;

/// How long a proposal may take. Longer means that the quorum is lost; the outcome is then unknown.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(10);

/// How long opening may take: reading the log again, and an election where others must agree.
const OPENING_LIMIT: Duration = Duration::from_secs(30);

/// Proposals that may wait for the proposer; more wait for a place.
const WAITING_PROPOSALS: usize = 1024;

/// Where the ledger lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory: it ends with the process, as a farm of one does.
    Memory,
    /// In this directory, which is made if need be. Survives the process.
    Directory(PathBuf),
}

/// The ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLedgerError {
    /// The directory could not be made.
    #[error("failed to make the ledger's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database could not be opened.
    #[error("failed to open the ledger; is another coordinator using it?")]
    Database(#[source] Box<redb::Error>),
    /// What lies there can't be read.
    #[error("failed to read the ledger")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Raft did not start.
    #[error("failed to start the ledger")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A command could not be put to the ledger. A refused command is not an error but an [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another coordinator leads.
    #[error("this coordinator doesn't lead the farm at the moment; try again")]
    NotLeader,
    /// It is larger than an entry may be.
    #[error("the command has {bytes} bytes, more than the {limit} of a ledger entry; split the build")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No quorum answered in time. It may or may not have been done.
    #[error("the ledger did not answer within {} s; it may have lost its quorum", PROPOSAL_LIMIT.as_secs())]
    TimedOut,
    /// The ledger has stopped.
    #[error("the ledger has stopped")]
    Stopped,
}

/// The ledger. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ledger {
    raft: Raft<Types>,
    applied: Arc<Applied>,
    proposals: mpsc::Sender<Proposal>,
    stopping: CancellationToken,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("applied", &*self.applied.changes.borrow()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger, and returns once this coordinator leads and all that was written is applied. The
    /// proposer runs in `tasks` until [`Ledger::stop`].
    ///
    /// # Errors
    /// When it can't be opened, read or started.
    pub(crate) async fn open(
        storage: &Storage,
        clock: Clock,
        tasks: &TaskTracker,
    ) -> Result<Self, OpenLedgerError> {
        let store = Store::open(storage)?;
        let applied = Arc::new(Applied::default());
        let machine = StateMachine::open(store.clone(), Arc::clone(&applied))
            .await
            .map_err(|error| OpenLedgerError::Read(error.into()))?;
        let config = Arc::new(config().validate().map_err(|error| OpenLedgerError::Start(error.into()))?);
        let raft = Raft::new(SELF, config, peers::NoPeers, LogStore::new(store), machine)
            .await
            .map_err(|error| OpenLedgerError::Start(error.into()))?;
        lead(&raft).await.map_err(OpenLedgerError::Start)?;
        let (proposals, waiting) = mpsc::channel(WAITING_PROPOSALS);
        let stopping = CancellationToken::new();
        tasks.spawn(stopping.clone().run_until_cancelled_owned(proposer::run(raft.clone(), clock, waiting)));
        Ok(Self { raft, applied, proposals, stopping })
    }

    /// Puts a command to the ledger and returns what became of it, once it is committed and applied. Commands
    /// that are proposed at the same time share an entry.
    ///
    /// # Errors
    /// When it could not be put, or it is not known whether it was.
    pub(crate) async fn propose(&self, action: Action) -> Result<Outcome, ProposeError> {
        let (reply, outcome) = oneshot::channel();
        let put = async {
            let proposal = Proposal { action, reply };
            self.proposals.send(proposal).await.map_err(|_| ProposeError::Stopped)?;
            outcome.await.map_err(|_| ProposeError::Stopped)?
        };
        tokio::time::timeout(PROPOSAL_LIMIT, put).await.map_err(|_| ProposeError::TimedOut)?
    }

    /// Puts several commands, in order but not all or nothing, and returns what became of each.
    ///
    /// # Errors
    /// The first error; commands after it may have been done nevertheless.
    pub(crate) async fn propose_all(&self, actions: Vec<Action>) -> Result<Vec<Outcome>, ProposeError> {
        futures::future::try_join_all(actions.into_iter().map(|action| self.propose(action))).await
    }

    /// Looks at the state. Keep it short: nothing is applied meanwhile.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&FarmState) -> T) -> T {
        self.applied.read(look)
    }

    /// Tells of every change, by the number of the latest entry applied.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.applied.changes.subscribe()
    }

    /// Whether this coordinator leads: only the leader proposes what state demands.
    pub(crate) fn leads(&self) -> bool {
        self.raft.metrics().borrow().state == ServerState::Leader
    }

    /// Stops taking proposals and leaves the cluster as one that crashed would, with everything on disk.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the ledger did not stop in an orderly way");
        }
    }
}

/// Timers suit a farm whose coordinators are a millisecond apart. A single voter waits for none of them.
fn config() -> Config {
    Config {
        cluster_name: "kiln".into(),
        // Also the hard limit for one append to a follower, hence not shorter.
        heartbeat_interval: 300,
        election_timeout_min: 1_000,
        election_timeout_max: 2_000,
        // Together with the size of an entry this bounds the bytes of one append: time-outs come from bytes.
        max_payload_entries: 8,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(4_096),
        max_in_snapshot_log_to_keep: 512,
        replication_lag_threshold: 8_192,
        ..Config::default()
    }
}

/// Makes a fresh ledger one with a single voter, and waits until this coordinator leads and has applied
/// everything that was committed before.
async fn lead(raft: &Raft<Types>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if !raft.is_initialized().await? {
        raft.initialize(BTreeMap::from([(SELF, BasicNode::default())])).await?;
    }
    raft.wait(Some(OPENING_LIMIT)).state(ServerState::Leader, "to lead").await?;
    raft.ensure_linearizable().await?;
    Ok(())
}
