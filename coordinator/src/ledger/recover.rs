//! A majority of the voters is gone for good: one that is left becomes the only voter of its ledger.
//!
//! ```text
//!   before:  1 2 3 vote; 2 and 3 never come back, so nothing is agreed upon any more
//!   after:   … entries as they are … │ membership {1}, put behind them by hand ──► started, 1 elects itself and
//!                                                                                   commits all of it
//! ```
//!
//! That is what Raft forbids as long as the others may come back: they would be a majority of their own, and go on with
//! another history. So whoever asks for it names each of the others, and they must be turned away afterwards. What the
//! others had agreed upon and this one had not yet heard is lost; what it heard and they had not agreed upon counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use openraft::storage::RaftLogStorage as _;
use openraft::{BasicNode, EntryPayload, LogId, Membership, StorageHelper};

use super::log_store::LogStore;
use super::snapshot::Snapshots;
use super::state_machine::{Applied, StateMachine};
use super::store::Store;
use super::tail::Tail;
use super::types::{Entry, StorageError};
use super::{OpenLedgerError, Storage, claim};

/// A coordinator can't go on alone.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its ledger could not be opened.
    #[error("failed to open the ledger")]
    Open(#[source] OpenLedgerError),
    /// Its ledger could not be read or written.
    #[error("failed to read or write the ledger")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has no part in a farm.
    #[error(
        "the ledger of coordinator {0} is empty; it was never brought up to date, so nothing is left to recover"
    )]
    Empty(u64),
    /// It is alone.
    #[error("coordinator {0} is the only one already; start it")]
    Alone(u64),
    /// It isn't certain that the others are lost.
    #[error(
        "the other coordinators are {}; name each with -lost once it is certain that it never comes back: two halves \
         of a farm that both go on can't be joined again", listed(.0)
    )]
    NotNamed(BTreeMap<u64, String>),
    /// Somebody is named who isn't one of the others.
    #[error("coordinator {given} is not one of the others, which are {}", listed(others))]
    NotThere {
        /// Who was named.
        given: u64,
        /// Who the others are.
        others: BTreeMap<u64, String>,
    },
}

fn listed(others: &BTreeMap<u64, String>) -> String {
    others.iter().map(|(id, address)| format!("{id} ({address})")).collect::<Vec<_>>().join(", ")
}

fn storage(error: StorageError) -> RecoverError {
    RecoverError::Storage(Box::new(error))
}

/// Makes coordinator `id`, whose data lie in `directory` and which doesn't run, the only voter of its ledger, reached at
/// `address`. `lost` are all the others. Returns their numbers.
///
/// # Errors
/// When it runs, has no ledger or is alone already, when `lost` aren't all of the others, or its disk fails. Then
/// nothing has changed.
pub async fn recover(
    directory: &Path,
    id: u64,
    address: &str,
    lost: &[u64],
) -> Result<BTreeSet<u64>, RecoverError> {
    let place = Storage::Directory(directory.to_owned());
    let store = Store::open(&place).map_err(RecoverError::Open)?;
    claim(&store, id).await.map_err(RecoverError::Open)?;
    let mut log = LogStore::new(store.clone(), Tail::default());
    let snapshots = Snapshots::open(&place).map_err(|error| RecoverError::Storage(Box::new(error)))?;
    let machine = StateMachine::open(snapshots, Arc::new(Applied::default()));
    let mut machine = machine.map_err(|error| RecoverError::Storage(Box::new(error)))?;
    let membership = StorageHelper::new(&mut log, &mut machine).get_membership().await.map_err(storage)?;
    let members: BTreeMap<u64, String> =
        membership.effective().membership().nodes().map(|(id, node)| (*id, node.addr.clone())).collect();
    let others = others(id, members, lost)?;
    let last = log.get_log_state().await.map_err(storage)?.last_log_id.ok_or(RecoverError::Empty(id))?;
    let alone = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, BasicNode::new(address))]));
    let entry = Entry {
        log_id: LogId::new(last.leader_id, last.index + 1),
        payload: EntryPayload::Membership(alone),
    };
    let record = (entry.log_id.index, Tail::default().encode(&entry));
    store.append(vec![record]).await.map_err(|error| RecoverError::Storage(Box::new(error)))?;
    Ok(others)
}

/// The others, when it is certain that all of them are lost.
fn others(id: u64, members: BTreeMap<u64, String>, lost: &[u64]) -> Result<BTreeSet<u64>, RecoverError> {
    if members.is_empty() {
        return Err(RecoverError::Empty(id));
    }
    let others: BTreeMap<u64, String> = members.into_iter().filter(|(member, _)| *member != id).collect();
    if others.is_empty() {
        return Err(RecoverError::Alone(id));
    }
    if let Some(given) = lost.iter().find(|given| !others.contains_key(given)) {
        return Err(RecoverError::NotThere { given: *given, others });
    }
    if others.keys().any(|other| !lost.contains(other)) {
        return Err(RecoverError::NotNamed(others));
    }
    Ok(others.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_others_and_nobody_else_must_be_named() {
        let members = |ids: &[u64]| ids.iter().map(|id| (*id, format!("https://c{id}:7447"))).collect();
        let told = |ids: &[u64], lost: &[u64]| match others(1, members(ids), lost) {
            Ok(others) => format!("{others:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(told(&[1, 2, 3], &[3, 2]), "{2, 3}");
        assert_eq!(told(&[1], &[]), "coordinator 1 is the only one already; start it");
        assert_eq!(
            told(&[1, 2, 3], &[2, 4]),
            "coordinator 4 is not one of the others, which are 2 (https://c2:7447), 3 (https://c3:7447)"
        );
        let refused = told(&[1, 2, 3], &[2]);
        assert!(refused.starts_with("the other coordinators are 2 (https://c2:7447), 3 ("), "{refused}");
        assert!(told(&[], &[]).contains("was never brought up to date"));
    }
}
