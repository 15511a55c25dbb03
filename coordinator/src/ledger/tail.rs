//! The end of the log, in memory, as entries and as the records that they are on disk and on the wire: each is written
//! once where it is proposed and read once where it is received, however many voters there are.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_proto::Bytes;

use super::codec;
use super::types::{Entry, LogPlace};

/// The most bytes of records that are kept.
const BYTES: usize = 8 << 20;

/// The end of a log. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Without gaps, in order.
    entries: VecDeque<(Entry, Bytes)>,
    bytes: usize,
    /// Records that came from a leader and are not in the log yet, the latest few.
    received: VecDeque<(LogPlace, Bytes)>,
}

/// As many entries come in one append.
const RECEIVED: usize = 16;

impl Tail {
    /// The record of an entry: the one that is kept, or a new one.
    pub(super) fn encode(&self, entry: &Entry) -> Bytes {
        let kept = self.with(|kept| kept.record(entry.log_id));
        kept.unwrap_or_else(|| codec::encode(entry).into())
    }

    /// Keeps the record of an entry that will be appended soon, perhaps.
    pub(super) fn received(&self, place: LogPlace, record: Bytes) {
        self.with(|kept| {
            kept.received.push_back((place, record));
            if kept.received.len() > RECEIVED {
                kept.received.pop_front();
            }
        });
    }

    /// Entries have been appended.
    pub(super) fn append(&self, entries: Vec<(Entry, Bytes)>) {
        self.with(|kept| {
            for (entry, record) in entries {
                let follows =
                    kept.entries.back().is_none_or(|(last, _)| last.log_id.index + 1 == entry.log_id.index);
                if !follows {
                    kept.clear();
                }
                kept.received.retain(|(place, _)| *place != entry.log_id);
                kept.bytes += record.len();
                kept.entries.push_back((entry, record));
            }
            while kept.bytes > BYTES && kept.drop_first() {}
        });
    }

    /// Entries from this one on are no longer true.
    pub(super) fn truncate(&self, from: u64) {
        self.with(|kept| {
            while kept.entries.back().is_some_and(|(last, _)| last.log_id.index >= from) {
                if let Some((_, record)) = kept.entries.pop_back() {
                    kept.bytes -= record.len();
                }
            }
        });
    }

    /// The entries of a range, as many as fit into `limit` bytes but at least one; `None` when the range isn't here
    /// wholly.
    pub(super) fn range(&self, range: &impl RangeBounds<u64>, limit: usize) -> Option<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => return None,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => return None,
        };
        self.with(|kept| {
            let first = kept.entries.front()?.0.log_id.index;
            let last = kept.entries.back()?.0.log_id.index;
            if start < first || end > last + 1 || start >= end {
                return None;
            }
            let skip = usize::try_from(start - first).ok()?;
            let count = usize::try_from(end - start).ok()?;
            let mut bytes = 0;
            let fit = kept.entries.iter().skip(skip).take(count).take_while(|(_, record)| {
                let is_first = bytes == 0;
                bytes += record.len();
                is_first || bytes <= limit
            });
            Some(fit.map(|(entry, _)| entry.clone()).collect())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn record(&self, place: LogPlace) -> Option<Bytes> {
        if let Some((_, record)) = self.received.iter().find(|(kept, _)| *kept == place) {
            return Some(record.clone());
        }
        let first = self.entries.front()?.0.log_id.index;
        let (entry, record) = self.entries.get(usize::try_from(place.index.checked_sub(first)?).ok()?)?;
        (entry.log_id == place).then(|| record.clone())
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn drop_first(&mut self) -> bool {
        let Some((_, record)) = self.entries.pop_front() else { return false };
        self.bytes -= record.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;

    fn entry(term: u64, index: u64) -> Entry {
        let log_id = LogPlace::new(CommittedLeaderId::new(term, 1), index);
        Entry { log_id, payload: EntryPayload::Blank }
    }

    fn append(tail: &Tail, entries: impl IntoIterator<Item = Entry>, bytes: usize) {
        tail.append(entries.into_iter().map(|entry| (entry, Bytes::from(vec![1; bytes]))).collect());
    }

    fn indexes(tail: &Tail, range: impl RangeBounds<u64>, limit: usize) -> Option<Vec<u64>> {
        Some(tail.range(&range, limit)?.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn a_range_is_told_if_it_is_here_wholly_and_as_far_as_it_fits() {
        let tail = Tail::default();
        append(&tail, (5..10).map(|index| entry(1, index)), 100);
        assert_eq!(indexes(&tail, 6..9, usize::MAX), Some(vec![6, 7, 8]));
        assert_eq!(indexes(&tail, 6..=9, 250), Some(vec![6, 7]));
        assert_eq!(indexes(&tail, 6..9, 1), Some(vec![6]), "one at least");
        assert_eq!(indexes(&tail, 4..9, usize::MAX), None);
        assert_eq!(indexes(&tail, 6..11, usize::MAX), None);
        assert_eq!(indexes(&tail, .., usize::MAX), None);
    }

    #[test]
    fn what_is_no_longer_true_is_forgotten() {
        let tail = Tail::default();
        append(&tail, (1..6).map(|index| entry(1, index)), 100);
        tail.truncate(4);
        assert_eq!(indexes(&tail, 1..4, usize::MAX), Some(vec![1, 2, 3]));
        append(&tail, [entry(2, 4)], 7);
        assert_eq!(tail.encode(&entry(2, 4)).len(), 7);
        assert_ne!(tail.encode(&entry(1, 4)).len(), 100, "another term's entry of that place");
        append(&tail, [entry(2, 9)], 7);
        assert_eq!(indexes(&tail, 3..5, usize::MAX), None, "after a gap it begins anew");
    }

    #[test]
    fn memory_is_bounded() {
        let tail = Tail::default();
        append(&tail, (1..=20).map(|index| entry(1, index)), 1 << 20);
        assert_eq!(indexes(&tail, 13..21, usize::MAX).map(|all| all.len()), Some(8));
        assert_eq!(indexes(&tail, 12..21, usize::MAX), None);
    }

    #[test]
    fn a_record_that_was_received_is_appended_as_it_is() {
        let tail = Tail::default();
        let received = Bytes::from_static(b"as it came");
        tail.received(entry(1, 1).log_id, received.clone());
        assert_eq!(tail.encode(&entry(1, 1)), received);
    }
}
