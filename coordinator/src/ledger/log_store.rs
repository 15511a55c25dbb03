//! The Raft log and the vote, in the database.

#![allow(
    clippy::result_large_err,
    reason = "the Raft crate's error is that large, and its traits want it so"
)]

use std::fmt::Debug;
use std::ops::RangeBounds;

use kiln_proto::Bytes;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogId, RaftLogReader};

use super::codec;
use super::store::Store;
use super::tail::Tail;
use super::types::{Entry, LogPlace, StorageError, StorageFault, Types, Vote};

const VOTE: &str = "vote";
const PURGED: &str = "purged";

/// The most bytes of entries handed to a follower in one append, so that it is through within a heartbeat.
const APPEND_LIMIT: usize = 512 << 10;

/// The log. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    store: Store,
    tail: Tail,
}

impl LogStore {
    pub(super) const fn new(store: Store, tail: Tail) -> Self {
        Self { store, tail }
    }

    fn named<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, StorageError> {
        let record = self.store.get(name).map_err(reading)?;
        record.map(|record| codec::decode(name, &record).map_err(reading)).transpose()
    }

    fn records(&self, range: impl RangeBounds<u64>) -> Result<Vec<Vec<u8>>, StorageError> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.store.range(range).map_err(reading)
    }
}

fn reading(error: impl std::error::Error + 'static) -> StorageError {
    StorageFault::read_logs(AnyError::new(&error)).into()
}

fn writing(error: impl std::error::Error + 'static) -> StorageError {
    StorageFault::write_logs(AnyError::new(&error)).into()
}

fn entry(record: &[u8]) -> Result<Entry, StorageError> {
    codec::decode("log entry", record).map_err(reading)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        if let Some(entries) = self.tail.range(&range, usize::MAX) {
            return Ok(entries);
        }
        self.records(range)?.iter().map(|record| entry(record)).collect()
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        if let Some(entries) = self.tail.range(&(start..end), APPEND_LIMIT) {
            return Ok(entries);
        }
        let mut bytes = 0;
        let records = self.records(start..end)?;
        let fit = records.iter().take_while(|record| {
            let first = bytes == 0;
            bytes += record.len();
            first || bytes <= APPEND_LIMIT
        });
        fit.map(|record| entry(record)).collect()
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let last_purged_log_id: Option<LogPlace> = self.named(PURGED)?;
        let last = self.store.last().map_err(reading)?;
        let last = last.map(|record| entry(&record)).transpose()?;
        let last_log_id = last.map(|entry| *entry.get_log_id()).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.store.put(VOTE, codec::encode(vote)).await.map_err(writing)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.named(VOTE)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written: Vec<(Entry, Bytes)> = entries
            .into_iter()
            .map(|entry| {
                let record = self.tail.encode(&entry);
                (entry, record)
            })
            .collect();
        let records = written.iter().map(|(entry, record)| (entry.log_id.index, record.clone())).collect();
        self.store.append(records).await.map_err(writing)?;
        self.tail.append(written);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, place: LogPlace) -> Result<(), StorageError> {
        self.tail.truncate(place.index);
        self.store.truncate(place.index).await.map_err(writing)
    }

    async fn purge(&mut self, place: LogPlace) -> Result<(), StorageError> {
        self.store.purge(place.index, PURGED, codec::encode(&place)).await.map_err(writing)
    }
}
