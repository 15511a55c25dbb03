//! The farm's state as the entries of the log lead to it, and its snapshots.
//!
//! The state lives in memory; what is on disk is the log and, from time to time, a snapshot that makes the
//! log before it dispensable.

use std::io::Cursor;
use std::sync::{Arc, PoisonError, RwLock};

use kiln_model::FarmState;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::codec::{self, DecodeError};
use super::store::Store;
use super::types::{
    Entry, LogPlace, Outcomes, Snapshot, SnapshotMeta, StorageError, StorageFault, StoredMembership, Types,
};

const SNAPSHOT: &str = "snapshot";

/// What has been applied, for everyone to read.
#[derive(Debug, Default)]
pub(super) struct Applied {
    state: RwLock<State>,
    /// The number of the latest entry.
    pub(super) changes: watch::Sender<u64>,
}

/// The farm with the place in the log up to which it is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    store: Store,
}

/// The latest snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenStateError {
    /// The database failed.
    #[error("failed to look for a snapshot")]
    Database(#[source] Box<redb::Error>),
    /// It is damaged or too new.
    #[error("failed to read the latest snapshot")]
    Decode(#[source] DecodeError),
}

impl StateMachine {
    /// Begins from the latest snapshot, if there is one.
    pub(super) async fn open(store: Store, applied: Arc<Applied>) -> Result<Self, OpenStateError> {
        let record = store.get(SNAPSHOT).map_err(|error| OpenStateError::Database(Box::new(error)))?;
        if let Some(record) = record {
            let state = codec::decode(SNAPSHOT, &record).map_err(OpenStateError::Decode)?;
            applied.change(|now| *now = state);
        }
        Ok(Self { applied, store })
    }

    fn snapshot_of(state: &State, record: Vec<u8>) -> Snapshot {
        let index = state.last.map_or(0, |place| place.index);
        let meta = SnapshotMeta {
            last_log_id: state.last,
            last_membership: state.membership.clone(),
            snapshot_id: format!("{index}"),
        };
        Snapshot { meta, snapshot: Box::new(Cursor::new(record)) }
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
        let state = self.applied.copy();
        Ok((state.last, state.membership))
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

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let record = snapshot.into_inner();
        let state = codec::decode(SNAPSHOT, &record).map_err(reading)?;
        self.store.put(SNAPSHOT, record).await.map_err(writing)?;
        self.applied.change(|now| *now = state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let Some(record) = self.store.get(SNAPSHOT).map_err(reading)? else { return Ok(None) };
        let state = codec::decode(SNAPSHOT, &record).map_err(reading)?;
        Ok(Some(Self::snapshot_of(&state, record)))
    }
}

impl RaftSnapshotBuilder<Types> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let state = self.applied.copy();
        let record = codec::encode(&state);
        self.store.put(SNAPSHOT, record.clone()).await.map_err(writing)?;
        Ok(Self::snapshot_of(&state, record))
    }
}
