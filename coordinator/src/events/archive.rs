//! Events at rest: what agents may forget because it lies in the object store.
//!
//! ```text
//!   logs/<build>/<task>/<first>-<next>   consecutive events of one attempt, compressed; <next> is the first that is not in it
//! ```
//!
//! Names are of twenty digits each, so that they sort. A segment is written once and never changed. Two leaders that
//! don't know of each other may write segments that overlap; they agree, since a number names one event for ever, and the
//! one that lost finds so before it tells any agent that its events are durable.

use kiln_plan::id::{BuildId, TaskId};
use kiln_proto::event::{PackedError, Record, TaskRecords};

use crate::store::{Store, StoreError};

#[cfg(test)]
mod tests;

/// The archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The object store failed.
    #[error("failed to reach the archive of events")]
    Store(#[from] StoreError),
    /// A segment is damaged.
    #[error("the events in {key} are damaged")]
    Damaged {
        /// The segment.
        key: String,
        /// Why.
        #[source]
        source: PackedError,
    },
    /// A segment is gone.
    #[error("the events in {0} are gone from the object store")]
    Gone(String),
}

/// A stretch of a task's events at rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) next: u64,
    key: String,
}

/// The archive of a store.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    store: Store,
}

fn folder(build: BuildId) -> String {
    format!("logs/{build}")
}

impl Segment {
    fn new(build: BuildId, task: TaskId, (first, next): (u64, u64)) -> Self {
        let key = format!("{}/{task}/{first:020}-{next:020}", folder(build));
        Self { first, next, key }
    }

    /// The segment that a key names, and its task.
    fn of_key(key: &str) -> Option<(TaskId, Self)> {
        let mut parts = key.rsplit('/');
        let (name, task) = (parts.next()?, parts.next()?);
        let (first, next) = name.split_once('-')?;
        let segment = Self { first: first.parse().ok()?, next: next.parse().ok()?, key: key.to_owned() };
        Some((task.parse().ok()?, segment))
    }
}

/// Up to which place everything from `first` on is in these segments, which are in order.
pub(super) fn extent<'a>(segments: impl Iterator<Item = &'a Segment>, first: u64) -> u64 {
    segments.fold(first, |next, segment| if segment.first <= next { next.max(segment.next) } else { next })
}

impl Archive {
    pub(super) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Writes consecutive events of an attempt.
    pub(super) async fn write(
        &self,
        build: BuildId,
        task: TaskId,
        records: Vec<Record>,
    ) -> Result<(), ArchiveError> {
        let (Some(first), Some(end)) = (records.first(), records.last()) else { return Ok(()) };
        let segment = Segment::new(build, task, (first.sequence, end.sequence + 1));
        let damaged = |source| ArchiveError::Damaged { key: segment.key.clone(), source };
        let packed = TaskRecords { task, records }.pack().map_err(damaged)?;
        self.store.put(&segment.key, packed.into()).await?;
        Ok(())
    }

    /// The segments of a build's tasks, in order.
    pub(super) async fn segments(&self, build: BuildId) -> Result<Vec<(TaskId, Segment)>, ArchiveError> {
        let objects = self.store.list(&folder(build)).await?;
        let mut segments: Vec<_> = objects.iter().filter_map(|object| Segment::of_key(&object.key)).collect();
        segments.sort();
        Ok(segments)
    }

    /// The events of a segment.
    pub(super) async fn read(&self, segment: &Segment) -> Result<Vec<Record>, ArchiveError> {
        let key = &segment.key;
        let record = self.store.get(key).await?.ok_or_else(|| ArchiveError::Gone(key.clone()))?;
        let damaged = |source| ArchiveError::Damaged { key: key.clone(), source };
        Ok(TaskRecords::unpack(&record).map_err(damaged)?.records)
    }

    /// Drops everything of a build.
    pub(super) async fn remove(&self, build: BuildId) -> Result<(), ArchiveError> {
        for object in self.store.list(&folder(build)).await? {
            self.store.delete(&object.key).await?;
        }
        Ok(())
    }
}
