//! The farm's state as the entries of the log lead to it, and its snapshots.
//!
//! The state lives in memory; what is on disk is the log and, from time to time, a snapshot that makes the
//! log before it dispensable. For a snapshot the state is copied under the lock, which readers share and which holds
//! up nothing but the next entry; what takes long, writing it down, happens on a thread of its own.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use kiln_model::FarmState;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::snapshot::{Body, SnapshotError, Snapshots};
use super::types::{
    Entry, LogPlace, Outcomes, Snapshot, SnapshotMeta, StorageError, StorageFault, StoredMembership, Types,
};

/// What has been applied, for everyone to read.
#[derive(Debug, Default)]
pub(super) struct Applied {
    state: RwLock<State>,
    /// The number of the latest entry.
    pub(super) changes: watch::Sender<u64>,
}

/// The farm with the place in the log up to which it is told.
#[derive(Clone, Debug, Default)]
struct State {
    last: Option<LogPlace>,
    membership: StoredMembership,
    farm: FarmState,
}

impl Applied {
    pub(super) fn read<T>(&self, look: impl FnOnce(&FarmState) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner).farm)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, last) = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let result = change(&mut state);
            (result, state.last)
        };
        self.changes.send_replace(last.map_or(0, |place| place.index));
        result
    }

    fn copy(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Applies entries, makes and takes snapshots.
#[derive(Clone, Debug)]
pub(super) struct StateMachine {
    applied: Arc<Applied>,
    snapshots: Snapshots,
}

impl StateMachine {
    /// Begins from the latest snapshot, if there is one.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn open(snapshots: Snapshots, applied: Arc<Applied>) -> Result<Self, SnapshotError> {
        if let Some((meta, farm)) = snapshots.read()? {
            applied.change(|now| *now = State::of(meta, farm));
        }
        Ok(Self { applied, snapshots })
    }
}

impl State {
    fn of(meta: SnapshotMeta, farm: FarmState) -> Self {
        Self { last: meta.last_log_id, membership: meta.last_membership, farm }
    }

    fn meta(&self) -> SnapshotMeta {
        let snapshot_id = self.last.map_or_else(String::new, |place| {
            format!("{}-{}-{}", place.leader_id.term, place.leader_id.node_id, place.index)
        });
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone(), snapshot_id }
    }
}

fn reading(error: impl std::error::Error + 'static) -> StorageError {
    StorageFault::read_snapshot(None, AnyError::new(&error)).into()
}

fn writing(error: impl std::error::Error + 'static) -> StorageError {
    StorageFault::write_snapshot(None, AnyError::new(&error)).into()
}

fn take(state: &mut State, entry: Entry) -> Outcomes {
    state.last = Some(entry.log_id);
    match entry.payload {
        EntryPayload::Blank => Outcomes::default(),
        EntryPayload::Membership(membership) => {
            state.membership = StoredMembership::new(Some(entry.log_id), membership);
            Outcomes::default()
        }
        EntryPayload::Normal(batch) => {
            let apply = |command| kiln_model::apply(&mut state.farm, command);
            Outcomes { outcomes: batch.commands.iter().map(apply).collect() }
        }
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogPlace>, StoredMembership), StorageError> {
        let state = self.applied.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcomes>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter();
        Ok(self.applied.change(|state| entries.map(|entry| take(state, entry)).collect()))
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Body>, StorageError> {
        self.snapshots.receive().map(Box::new).map_err(writing)
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: Box<Body>,
    ) -> Result<(), StorageError> {
        let (meta, farm) = self.snapshots.install(*snapshot).await.map_err(writing)?;
        let before = self.applied.change(|now| std::mem::replace(now, State::of(meta, farm)));
        // A large state takes its time to go.
        tokio::task::spawn_blocking(|| drop(before));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let current = self.snapshots.current().map_err(reading)?;
        Ok(current.map(|(meta, body)| Snapshot { meta, snapshot: Box::new(body) }))
    }
}

impl RaftSnapshotBuilder<Types> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let this = self.clone();
        let build = move || {
            let began = Instant::now();
            let state = this.applied.copy();
            tracing::debug!(took = ?began.elapsed(), "the state was copied for a snapshot");
            let meta = state.meta();
            this.snapshots.write(&meta, &state.farm)?;
            Ok((meta, this.snapshots.current()?.map(|(_, body)| body).unwrap_or_default()))
        };
        let built = tokio::task::spawn_blocking(build).await;
        let built =
            built.unwrap_or_else(|stopped| Err(SnapshotError::Damaged(std::io::Error::other(stopped))));
        let (meta, body) = built.map_err(writing)?;
        Ok(Snapshot { meta, snapshot: Box::new(body) })
    }
}
