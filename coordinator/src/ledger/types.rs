//! The ledger's types, in the words of the Raft crate.

use std::sync::Arc;

use kiln_model::{Command, Outcome};
use openraft::{BasicNode, LogId, StorageIOError};
use serde::{Deserialize, Serialize};

use super::snapshot::Body;

/// The commands of one entry, applied in order. Entries are handed around more than they are looked into, so clones share
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) commands: Arc<Vec<Command>>,
}

/// What became of each command of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcomes {
    pub(super) outcomes: Vec<Outcome>,
}

openraft::declare_raft_types!(
    /// Which types the Raft crate works with.
    pub(super) Types:
        D = Batch,
        R = Outcomes,
        NodeId = u64,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Body,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogPlace = LogId<u64>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StorageFault = StorageIOError<u64>;
pub(super) type StoredMembership = openraft::StoredMembership<u64, BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
pub(super) type Snapshot = openraft::Snapshot<Types>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Metrics = openraft::RaftMetrics<u64, BasicNode>;
