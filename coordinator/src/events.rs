//! What happens in tasks, for readers. Appended by agents, followed by people, never in the ledger.
//!
//! ```text
//!   agent ── append(epoch, records) ──► log of the task ──► follow(from …) ── reader, at its own pace
//!                                            │
//!              the task finished ── seal ────┘   then the reader comes to an end
//! ```
//!
//! The logs lie in memory, bounded together. A slow reader holds nothing up and costs nothing: it reads from
//! the log at its own place. When memory runs out, the oldest events of the longest log go; a reader that
//! comes too late for them is told so.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kiln_plan::event::EventKind;
use kiln_plan::id::{BuildId, Epoch, TaskId};
use kiln_proto::event::{Record, TaskRecords};
use kiln_proto::link::AttemptReceipt;
use tokio::sync::watch;

mod log;

#[cfg(test)]
mod tests;

use self::log::TaskLog;

/// The most bytes of events handed to a reader at once.
const UPDATE_BYTES: usize = 256 << 10;

/// The logs of all tasks.
#[derive(Debug)]
pub(crate) struct Events {
    logs: Mutex<Logs>,
    /// The most bytes kept.
    memory: usize,
}

#[derive(Debug, Default)]
struct Logs {
    builds: BTreeMap<BuildId, BuildLogs>,
    builds_of: BTreeMap<TaskId, BuildId>,
    bytes: usize,
}

#[derive(Debug)]
struct BuildLogs {
    tasks: BTreeMap<TaskId, TaskLog>,
    changed: watch::Sender<()>,
}

/// A reader of a build, with its place in each task.
#[derive(Debug)]
pub(crate) struct Follower {
    build: BuildId,
    places: BTreeMap<TaskId, u64>,
    changed: watch::Receiver<()>,
}

impl Events {
    /// Logs that keep at most `memory` bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self { logs: Mutex::default(), memory }
    }

    /// Opens the logs of a new build.
    pub(crate) fn open(&self, build: BuildId, tasks: impl IntoIterator<Item = TaskId>) {
        self.add(build, tasks.into_iter().map(|task| (task, TaskLog::new())));
    }

    /// Opens the logs of a build whose events were lost with the coordinator's last process. An attempt that is
    /// still under way goes on from where its agent is.
    pub(crate) fn reopen(&self, build: BuildId, tasks: impl IntoIterator<Item = (TaskId, Epoch)>) {
        self.add(build, tasks.into_iter().map(|(task, epoch)| (task, TaskLog::resumed(epoch))));
    }

    fn add(&self, build: BuildId, tasks: impl Iterator<Item = (TaskId, TaskLog)>) {
        self.with(|logs| {
            let tasks: BTreeMap<_, _> = tasks.collect();
            logs.builds_of.extend(tasks.keys().map(|task| (*task, build)));
            logs.builds.insert(build, BuildLogs { tasks, changed: watch::Sender::default() });
        });
    }

    /// Begins an attempt: from now on only its epoch may append. Returns the place of its first event. When the
    /// attempt is a new one and not the first, `note` tells readers so.
    pub(crate) fn begin(&self, task: TaskId, epoch: Epoch, note: Option<(u64, EventKind)>) -> u64 {
        self.change(task, |log| {
            if log.begin(epoch)
                && let Some((at_ms, kind)) = &note
            {
                log.push(*at_ms, kind);
            }
            log.next()
        })
        .unwrap_or(0)
    }

    /// Appends events of an attempt: those that were taken before are passed over, those beyond a gap are left.
    pub(crate) fn append(&self, task: TaskId, epoch: Epoch, records: Vec<Record>) -> AttemptReceipt {
        let taken = self.change(task, |log| (log.append(epoch, records), log.next()));
        let (taken, next_sequence) = taken.unwrap_or((false, 0));
        // What was taken lies in memory and nowhere else, so nothing will ever be more durable.
        let durable_sequence = next_sequence;
        AttemptReceipt { task, epoch, next_sequence, refused: !taken, durable_sequence }
    }

    /// Ends a task's log with its last event.
    pub(crate) fn seal(&self, task: TaskId, at_ms: u64, last: &EventKind) {
        self.change(task, |log| log.seal(at_ms, last));
    }

    /// The tasks whose logs have not ended.
    pub(crate) fn unsealed(&self) -> Vec<TaskId> {
        self.with(|logs| {
            let all = logs.builds.values().flat_map(|build| &build.tasks);
            all.filter(|(_, log)| !log.is_sealed()).map(|(task, _)| *task).collect()
        })
    }

    /// Removes the logs of a build. Its readers come to an end.
    pub(crate) fn forget(&self, build: BuildId) {
        self.with(|logs| {
            let Some(gone) = logs.builds.remove(&build) else { return };
            for (task, log) in gone.tasks {
                logs.builds_of.remove(&task);
                logs.bytes -= log.bytes();
            }
        });
    }

    /// A reader of a build that begins at these places, and at the beginning of all other tasks; `None` when
    /// the build isn't known.
    pub(crate) fn follow(
        &self,
        build: BuildId,
        from: impl IntoIterator<Item = (TaskId, u64)>,
    ) -> Option<Follower> {
        self.with(|logs| {
            let logs = logs.builds.get(&build)?;
            let mut places: BTreeMap<_, _> = logs.tasks.keys().map(|task| (*task, 0)).collect();
            for (task, sequence) in from {
                places.entry(task).and_modify(|place| *place = sequence);
            }
            Some(Follower { build, places, changed: logs.changed.subscribe() })
        })
    }

    /// What comes next for a reader; waits for it. `None` once everything has been told. May be dropped while
    /// waiting without losing anything.
    pub(crate) async fn next(&self, reader: &mut Follower) -> Option<Vec<TaskRecords>> {
        loop {
            reader.changed.mark_unchanged();
            let (update, ended) = self.with(|logs| match logs.builds.get(&reader.build) {
                Some(build) => build.after(&mut reader.places),
                None => (Vec::new(), true),
            });
            if !update.is_empty() {
                return Some(update);
            }
            if ended || reader.changed.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Changes a log, keeps count of memory, and wakes readers. `None` when the task isn't known.
    fn change<T>(&self, task: TaskId, change: impl FnOnce(&mut TaskLog) -> T) -> Option<T> {
        self.with(|logs| {
            let build = logs.builds.get_mut(logs.builds_of.get(&task)?)?;
            let log = build.tasks.get_mut(&task)?;
            let before = log.bytes();
            let result = change(log);
            logs.bytes = logs.bytes + log.bytes() - before;
            build.changed.send_replace(());
            if logs.bytes > self.memory {
                logs.make_room(self.memory);
            }
            Some(result)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Logs) -> T) -> T {
        work(&mut self.logs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Logs {
    /// Halves the longest log until all fit. Halving makes it seldom.
    fn make_room(&mut self, memory: usize) {
        while self.bytes > memory {
            let all = self.builds.values_mut().flat_map(|build| build.tasks.values_mut());
            let Some(longest) = all.max_by_key(|log| log.bytes()) else { return };
            let freed = longest.halve();
            if freed == 0 {
                return;
            }
            self.bytes -= freed;
        }
    }
}

impl BuildLogs {
    /// What lies after these places, at most [`UPDATE_BYTES`] of it; moves the places past it. Also tells
    /// whether that is the end of all.
    fn after(&self, places: &mut BTreeMap<TaskId, u64>) -> (Vec<TaskRecords>, bool) {
        let mut room = UPDATE_BYTES;
        let mut update = Vec::new();
        let mut ended = true;
        for (task, log) in &self.tasks {
            let Some(place) = places.get_mut(task) else { continue };
            let records = log.after(*place, &mut room);
            if let Some(last) = records.last() {
                *place = last.sequence + 1;
                update.push(TaskRecords { task: *task, records });
            }
            ended &= log.is_sealed() && *place >= log.next();
        }
        (update, ended)
    }
}
