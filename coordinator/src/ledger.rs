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
//!
//! | file | duty |
//! |---|---|
//! | `cluster` | the words: settings, members, leadership, what can go wrong |
//! | `members` | who votes |
//! | `leadership` | who leads, and who may stand for election |
//! | `peers`, `wire` | the way to the other voters, and the messages |
//! | `answer` | what the other voters ask |
//! | `proposer` | from commands to entries |
//! | `log_store`, `tail`, `store`, `codec` | the log on disk, and its end in memory |
//! | `threads` | where all that runs |
//! | `recover` | one that is left when a majority is lost for good |
//! | `state_machine`, `snapshot` | from entries to the farm's state, and its snapshots |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_model::{Action, FarmState, Outcome};
use openraft::{BasicNode, Config, Raft, ServerState, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod answer;
mod cluster;
mod codec;
mod leadership;
mod log_store;
mod members;
mod peers;
mod proposer;
mod recover;
mod snapshot;
mod state_machine;
mod store;
mod tail;
mod threads;
mod types;
mod wire;

#[cfg(test)]
mod tests;

pub use self::cluster::{
    Begin, ChangeError, ClusterSettings, LEDGER_FAILED_EXIT, Leadership, LedgerFailure, Member,
};
use self::leadership::Hearing;
use self::log_store::LogStore;
pub use self::peers::{DialError, PeerDial, TlsDial};
pub(crate) use self::peers::{NoPeers, Peers, Purpose};
use self::proposer::Proposal;
pub use self::recover::{RecoverError, recover};
use self::snapshot::Snapshots;
use self::state_machine::{Applied, StateMachine};
use self::store::Store;
use self::tail::Tail;
use self::threads::Threads;
use self::types::Types;
use crate::clock::Clock;

/// The record that says whose ledger this is.
const VOTER: &str = "voter";

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
    /// It belongs to another coordinator.
    #[error(
        "this is the ledger of coordinator {found}, not of {given}; a coordinator keeps its number for good"
    )]
    OtherVoter {
        /// Whose it is.
        found: u64,
        /// Who opened it.
        given: u64,
    },
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
    /// The leadership was lost meanwhile. It may or may not have been done.
    #[error(
        "this coordinator has lost the lead before the command was agreed upon; look at what became of it"
    )]
    Interrupted,
    /// No quorum answered in time. It may or may not have been done.
    #[error("the ledger did not answer within {} s; it may have lost its quorum", PROPOSAL_LIMIT.as_secs())]
    TimedOut,
    /// The ledger has stopped.
    #[error("the ledger has stopped")]
    Stopped,
}

/// What a ledger needs from its coordinator.
#[derive(Debug)]
pub(crate) struct Surroundings<'c> {
    /// Where it lies.
    pub(crate) storage: &'c Storage,
    /// Its place in the cluster.
    pub(crate) cluster: &'c ClusterSettings,
    /// The way to the others.
    pub(crate) dial: Arc<dyn PeerDial>,
    /// The coordinator's clock.
    pub(crate) clock: Clock,
    /// Where its tasks run, until [`Ledger::stop`].
    pub(crate) tasks: &'c TaskTracker,
}

/// The ledger. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ledger {
    id: u64,
    threads: Threads,
    raft: Raft<Types>,
    applied: Arc<Applied>,
    peers: Peers,
    hearing: Arc<Hearing>,
    leadership: watch::Receiver<Leadership>,
    proposals: mpsc::Sender<Proposal>,
    stopping: CancellationToken,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("applied", &*self.applied.changes.borrow()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger. A lone voter leads when this returns, and all that was written is applied; where there are
    /// others, the leadership shows in time.
    ///
    /// # Errors
    /// When it can't be opened, read or started.
    pub(crate) async fn open(around: Surroundings<'_>) -> Result<Self, OpenLedgerError> {
        let store = Store::open(around.storage)?;
        Self::open_over(store, around).await
    }

    async fn open_over(store: Store, around: Surroundings<'_>) -> Result<Self, OpenLedgerError> {
        let Surroundings { storage, cluster, dial, clock, tasks } = around;
        claim(&store, cluster.id).await?;
        let snapshots = Snapshots::open(storage).map_err(|error| OpenLedgerError::Read(error.into()))?;
        let applied = Arc::new(Applied::default());
        let machine = StateMachine::open(snapshots, Arc::clone(&applied))
            .map_err(|error| OpenLedgerError::Read(error.into()))?;
        let config = config(cluster).validate().map_err(|error| OpenLedgerError::Start(error.into()))?;
        let tail = Tail::default();
        let peers = Peers::new(dial, tail.clone());
        let threads = if cluster.own_threads { Threads::own() } else { Ok(Threads::shared()) };
        let threads = threads.map_err(|error| OpenLedgerError::Start(error.into()))?;
        // What the crate spawns, it spawns where it was made.
        let made =
            Raft::new(cluster.id, Arc::new(config), peers.clone(), LogStore::new(store, tail), machine);
        let made =
            threads.handle().spawn(made).await.map_err(|error| OpenLedgerError::Start(error.into()))?;
        let raft = made.map_err(|error| OpenLedgerError::Start(error.into()))?;
        let begun = begin(&raft, cluster).await.map_err(OpenLedgerError::Start)?;
        let (told, leadership) = watch::channel(begun);
        let (proposals, waiting) = mpsc::channel(WAITING_PROPOSALS);
        let stopping = CancellationToken::new();
        let hearing = Arc::<Hearing>::default();
        let run = |task| {
            tasks.spawn_on(stopping.clone().run_until_cancelled_owned(task), threads.handle());
        };
        run(futures::future::FutureExt::boxed(proposer::run(raft.clone(), clock, waiting)));
        run(Box::pin(leadership::watch(raft.clone(), told)));
        run(Box::pin(leadership::stand(raft.clone(), peers.clone(), Arc::clone(&hearing))));
        let id = cluster.id;
        Ok(Self { id, threads, raft, applied, peers, hearing, leadership, proposals, stopping })
    }

    /// Puts a command to the ledger and returns what became of it, once it is committed and applied. Commands
    /// that are proposed at the same time share an entry.
    ///
    /// # Errors
    /// When it could not be put, or it is not known whether it was.
    pub(crate) async fn propose(&self, action: Action) -> Result<Outcome, ProposeError> {
        if !self.leads() {
            return Err(if self.stopping.is_cancelled() {
                ProposeError::Stopped
            } else {
                ProposeError::NotLeader
            });
        }
        let (reply, outcome) = oneshot::channel();
        let put = async {
            let proposal = Proposal { action, reply };
            self.proposals.send(proposal).await.map_err(|_| ProposeError::Stopped)?;
            outcome.await.map_err(|_| ProposeError::Stopped)?
        };
        let mut leadership = self.leadership.clone();
        tokio::select! {
            biased;
            put = tokio::time::timeout(PROPOSAL_LIMIT, put) => put.map_err(|_| ProposeError::TimedOut)?,
            _ = leadership.wait_for(|now| !matches!(now, Leadership::Leads { .. })) => {
                Err(ProposeError::Interrupted)
            }
        }
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

    /// Looks at the state as it is now for the whole farm: with everything in it that was answered to anybody
    /// before this was called.
    ///
    /// # Errors
    /// When this coordinator doesn't lead, or a majority doesn't confirm it in time.
    pub(crate) async fn read_linearizable<T>(
        &self,
        look: impl FnOnce(&FarmState) -> T,
    ) -> Result<T, ProposeError> {
        // Before that, the crate's word may not cover all of its own term.
        if !self.leads() {
            return Err(ProposeError::NotLeader);
        }
        let confirmed = tokio::time::timeout(PROPOSAL_LIMIT, self.raft.ensure_linearizable()).await;
        match confirmed.map_err(|_| ProposeError::TimedOut)? {
            Ok(_) => Ok(self.read(look)),
            Err(openraft::error::RaftError::APIError(_)) => Err(ProposeError::NotLeader),
            Err(openraft::error::RaftError::Fatal(_)) => Err(ProposeError::Stopped),
        }
    }

    /// Tells of every change, by the number of the latest entry applied.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.applied.changes.subscribe()
    }

    /// Whether this coordinator leads: only the leader proposes what state demands.
    pub(crate) fn leads(&self) -> bool {
        matches!(*self.leadership.borrow(), Leadership::Leads { .. })
    }

    /// Who leads, and every change of it.
    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Where whatever the others wait for should run.
    pub(crate) const fn threads(&self) -> &tokio::runtime::Handle {
        self.threads.handle()
    }

    /// This coordinator's number.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The way to the others.
    pub(crate) const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The members, as this coordinator knows them.
    pub(crate) fn members(&self) -> Vec<Member> {
        members::members(&self.raft.metrics().borrow())
    }

    /// Makes a coordinator a voter: it learns everything first. One that is a voter at another address is told to all to
    /// have moved.
    ///
    /// # Errors
    /// When it could not be brought up to date, or no majority agrees. Then it is not a member, or was not moved.
    pub(crate) async fn add_voter(&self, id: u64, address: &str) -> Result<(), ChangeError> {
        self.lead_change()?;
        members::add(&self.raft, id, address).await
    }

    /// Takes a coordinator out of the cluster. If it led, the others elect another.
    ///
    /// # Errors
    /// When it is the only voter, or no majority agrees.
    pub(crate) async fn remove_voter(&self, id: u64) -> Result<(), ChangeError> {
        self.lead_change()?;
        members::remove(&self.raft, id).await
    }

    /// The crate would say that a change is under way to whoever hasn't heard that the latest one was agreed upon.
    fn lead_change(&self) -> Result<(), ChangeError> {
        if self.leads() { Ok(()) } else { Err(ChangeError::NotLeader) }
    }

    /// Waits until the ledger fails for good. Pending for ever when it is stopped instead.
    pub(crate) async fn failed(&self) -> LedgerFailure {
        let mut metrics = self.raft.metrics();
        let failed = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
        let reason =
            failed.ok().and_then(|metrics| metrics.running_state.as_ref().err().map(ToString::to_string));
        if self.stopping.is_cancelled() {
            std::future::pending::<()>().await;
        }
        LedgerFailure { reason: reason.unwrap_or_else(|| "its task broke off".into()) }
    }

    /// Tells the ledger to end, without waiting. It is gone once nobody has it any more.
    pub(crate) fn abandon(&self) {
        self.stopping.cancel();
    }

    /// Stops taking proposals and leaves the cluster as one that crashed would, with everything on disk.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the ledger did not stop in an orderly way");
        }
    }
}

/// Timers suit a farm whose coordinators are a few milliseconds apart: a new leader is there some 2 s after the
/// last word of the old one. A single voter waits for none of them.
fn config(cluster: &ClusterSettings) -> Config {
    Config {
        cluster_name: "kiln".into(),
        heartbeat_interval: leadership::HEARTBEAT_MS,
        // The crate's timers elect nobody but a lone voter; what counts is the longer of these, for how long a voter
        // that heard the leader votes for nobody else.
        election_timeout_min: leadership::TERM_MS - 1,
        election_timeout_max: leadership::TERM_MS,
        // Together with the size of an entry this bounds the bytes of one append: time-outs come from bytes.
        max_payload_entries: 8,
        snapshot_max_chunk_size: kiln_proto::peer::SNAPSHOT_PART as u64,
        // After the last part the receiver reads all of it and writes it to its disk.
        install_snapshot_timeout: 60_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(cluster.compact_after),
        max_in_snapshot_log_to_keep: cluster.compact_after / 8,
        replication_lag_threshold: cluster.compact_after * 2,
        ..Config::default()
    }
}

/// Makes sure that a ledger stays with the voter whose promises it holds.
async fn claim(store: &Store, id: u64) -> Result<(), OpenLedgerError> {
    let reading = |error: redb::Error| OpenLedgerError::Database(Box::new(error));
    let Some(record) = store.get(VOTER).map_err(reading)? else {
        return store.put(VOTER, codec::encode(&id)).await.map_err(reading);
    };
    match codec::decode::<u64>(VOTER, &record).map_err(|error| OpenLedgerError::Read(error.into()))? {
        found if found == id => Ok(()),
        found => Err(OpenLedgerError::OtherVoter { found, given: id }),
    }
}

/// Makes a fresh ledger one with a single voter, if this coordinator founds the cluster. A single voter leads when this
/// returns, and has applied everything that was committed before.
async fn begin(
    raft: &Raft<Types>,
    cluster: &ClusterSettings,
) -> Result<Leadership, Box<dyn std::error::Error + Send + Sync>> {
    let id = cluster.id;
    if cluster.begin == Begin::Found && !raft.is_initialized().await? {
        raft.initialize(BTreeMap::from([(id, BasicNode::new(&cluster.address))])).await?;
    }
    let voters = raft.with_raft_state(|state| {
        let membership = state.membership_state.effective();
        membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect::<BTreeMap<_, _>>()
    });
    let voters = voters.await?;
    if !voters.keys().eq([&id]) {
        // Nobody stands for election before having asked the others.
        raft.runtime_config().elect(false);
        return Ok(Leadership::Nobody);
    }
    raft.wait(Some(OPENING_LIMIT)).state(ServerState::Leader, "to lead").await?;
    raft.ensure_linearizable().await?;
    if voters.get(&id) != Some(&cluster.address) {
        members::move_to(raft, id, &cluster.address).await?;
    }
    let term = raft.metrics().borrow().current_term;
    Ok(Leadership::Leads { term })
}
