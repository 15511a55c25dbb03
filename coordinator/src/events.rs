//! What happens in tasks, for readers. Appended by agents, followed by people, never in the ledger.
//!
//! ```text
//!   agent ── append(epoch, records) ──► log of the task ──► follow(from …) ── reader, at its own pace
//!                                            │
//!              the task finished ── seal ────┘   then the reader comes to an end
//! ```
//!
//! The logs lie in memory, bounded together, and are put to rest in the object store bit by bit; agents keep their events
//! until then, so that a leader may die. A slow reader holds nothing up and costs nothing: it reads from the log at its
//! own place, and what memory keeps no more from the [`archive`]. A farm of one has no archive: there, when memory runs
//! out, the oldest events of the longest log go, and a reader that comes too late for them is told so.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;

use kiln_plan::event::EventKind;
use kiln_plan::id::{BuildId, Epoch, TaskId};
use kiln_proto::event::{Record, TaskRecords};
use kiln_proto::link::AttemptReceipt;
use tokio::sync::watch;

mod archive;
mod log;
pub(crate) mod retry_note;

#[cfg(test)]
mod tests;

pub(crate) use self::archive::ArchiveError;
use self::archive::{Archive, Segment};
use self::log::{TaskLog, Unrested};
use crate::store::Store;

/// The most bytes of events handed to a reader at once.
const UPDATE_BYTES: usize = 256 << 10;

/// Segments that are written at the same time.
const WRITES: usize = 32;

/// The most segments of one round.
const ROUND: usize = 1_024;

/// How long an agent has to come to a new leader with the events of an attempt that has ended.
const RETURN: Duration = Duration::from_secs(20);

/// The wait before the store is asked again what is at rest.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);

/// The logs of all tasks.
#[derive(Debug)]
pub(crate) struct Events {
    logs: Mutex<Logs>,
    /// The most bytes kept.
    memory: usize,
    /// Where events are put to rest.
    archive: Option<Archive>,
    /// Tells when more of them are.
    rested: watch::Sender<()>,
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
    /// What is at rest, as far as it was looked up.
    segments: Vec<(TaskId, Segment)>,
}

impl Events {
    /// Logs that keep at most `memory` bytes, and put the rest into `store`.
    pub(crate) fn new(memory: usize, store: Option<Store>) -> Self {
        let archive = store.map(Archive::new);
        Self { logs: Mutex::default(), memory, archive, rested: watch::Sender::default() }
    }

    /// Opens the logs of a new build.
    pub(crate) fn open(&self, build: BuildId, tasks: impl IntoIterator<Item = TaskId>) {
        self.add(build, tasks.into_iter().map(|task| (task, TaskLog::new())));
    }

    /// Opens the logs of a build whose events another leader had taken. They take and tell nothing before
    /// [`Events::look_up`] found what is at rest of them; an attempt that is still under way goes on from there, or from
    /// where its agent is.
    pub(crate) fn reopen(&self, build: BuildId, tasks: impl IntoIterator<Item = (TaskId, Epoch)>) {
        let resumed = |epoch| match &self.archive {
            Some(_) => TaskLog::unknown(epoch),
            None => TaskLog::resumed(epoch, 0, false),
        };
        self.add(build, tasks.into_iter().map(|(task, epoch)| (task, resumed(epoch))));
    }

    /// Looks up what is at rest of a build whose logs were opened again. Tries until the store answers.
    pub(crate) async fn look_up(&self, build: BuildId) {
        let Some(archive) = &self.archive else { return };
        let segments = loop {
            match archive.segments(build).await {
                Ok(segments) => break segments,
                Err(error) => {
                    let error = kiln_plan::fault::chain(&error);
                    tracing::warn!(%build, error, "events at rest were not found; trying again");
                    tokio::time::sleep(LOOK_UP_AGAIN).await;
                }
            }
        };
        self.with(|logs| {
            let Some(build) = logs.builds.get_mut(&build) else { return };
            for (task, log) in &mut build.tasks {
                let own = || segments.iter().filter(|(of, _)| of == task).map(|(_, segment)| segment);
                let durable = own().map(|segment| segment.next).max().unwrap_or(0);
                log.become_known(durable, own().any(|segment| segment.last));
            }
            build.changed.send_replace(());
        });
        self.rested.send_replace(());
    }

    /// Whether a task's log can take events.
    pub(crate) fn is_known(&self, task: TaskId) -> bool {
        self.look(task, |log| log.is_known()).unwrap_or(true)
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
        AttemptReceipt { task, epoch, next_sequence, durable_sequence: self.durable(task), refused: !taken }
    }

    /// Whether no more events should be taken until those that are here are at rest.
    pub(crate) fn is_full(&self) -> bool {
        self.archive.is_some() && self.with(|logs| logs.bytes) > 2 * self.memory
    }

    /// How far the events of a task have been taken and put to rest.
    pub(crate) fn receipt(&self, task: TaskId, epoch: Epoch) -> AttemptReceipt {
        let next_sequence = self.look(task, |log| log.next()).unwrap_or(0);
        AttemptReceipt { task, epoch, next_sequence, durable_sequence: self.durable(task), refused: false }
    }

    /// The first event of a task that is not at rest.
    pub(crate) fn durable(&self, task: TaskId) -> u64 {
        self.look(task, |log| if self.archive.is_some() { log.durable() } else { log.next() }).unwrap_or(0)
    }

    /// Tells of more events that are at rest.
    pub(crate) fn rested(&self) -> watch::Receiver<()> {
        self.rested.subscribe()
    }

    /// Puts events to rest, and returns how many segments that made. What was written counts once `confirm` says that
    /// nobody else leads meanwhile: only then may their agents forget them.
    ///
    /// # Errors
    /// When the store failed; what was not written is tried again.
    pub(crate) async fn put_to_rest<C>(&self, confirm: impl FnOnce() -> C) -> Result<usize, ArchiveError>
    where
        C: Future<Output = bool>,
    {
        let Some(archive) = &self.archive else { return Ok(0) };
        let due = self.unrested();
        let write = |(build, task, unrested): (BuildId, TaskId, Unrested)| async move {
            let next = unrested.records.last().map_or(0, |record| record.sequence + 1);
            archive
                .write(build, task, unrested.records, unrested.last)
                .await
                .map(|()| (task, next, unrested.last))
        };
        let written: Vec<_> =
            futures::stream::iter(due.into_iter().map(write)).buffer_unordered(WRITES).collect().await;
        let (written, failed): (Vec<_>, Vec<_>) = written.into_iter().partition(Result::is_ok);
        let done = written.len();
        if done > 0 && confirm().await {
            for (task, next, last) in written.into_iter().flatten() {
                self.look(task, |log| log.rest(next, last));
            }
            self.rested.send_replace(());
        }
        failed.into_iter().find_map(Result::err).map_or(Ok(done), Err)
    }

    fn unrested(&self) -> Vec<(BuildId, TaskId, Unrested)> {
        self.with(|logs| {
            let all = logs
                .builds
                .iter()
                .flat_map(|(build, logs)| logs.tasks.iter().map(move |(t, l)| (build, t, l)));
            all.filter_map(|(build, task, log)| Some((*build, *task, log.unrested()?))).take(ROUND).collect()
        })
    }

    /// Ends a task's log with its last event.
    pub(crate) fn seal(&self, task: TaskId, at_ms: u64, last: &EventKind) {
        self.change(task, |log| log.seal(at_ms, last));
    }

    /// The tasks whose logs have not ended, and to which no agent has anything to add. After a change of leaders an agent
    /// first has a while to send again what the last leader had not put to rest.
    pub(crate) fn unsealed(&self) -> Vec<TaskId> {
        self.with(|logs| {
            let all = logs.builds.values().flat_map(|build| &build.tasks);
            all.filter(|(_, log)| log.is_known() && !log.is_sealed() && log.is_quiet(RETURN))
                .map(|(task, _)| *task)
                .collect()
        })
    }

    /// Removes what is at rest of a build.
    ///
    /// # Errors
    /// When the store failed.
    pub(crate) async fn remove(&self, build: BuildId) -> Result<(), ArchiveError> {
        match &self.archive {
            Some(archive) => archive.remove(build).await,
            None => Ok(()),
        }
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

    /// Removes all logs. Readers come to an end.
    pub(crate) fn clear(&self) {
        self.with(|logs| *logs = Logs::default());
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
            Some(Follower { build, places, changed: logs.changed.subscribe(), segments: Vec::new() })
        })
    }

    /// What comes next for a reader; waits for it. `None` once everything has been told. May be dropped while
    /// waiting without losing anything.
    pub(crate) async fn next(&self, reader: &mut Follower) -> Option<Vec<TaskRecords>> {
        loop {
            reader.changed.mark_unchanged();
            if let Some(archive) = &self.archive
                && let Some((task, place)) = self.behind(reader)
                && let Some(records) = at_rest(archive, reader, task, place).await
            {
                let next = records.last().map_or(place, |record| record.sequence + 1);
                reader.places.insert(task, next);
                return Some(vec![TaskRecords { task, records }]);
            }
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

    /// A task of which the reader lacks events that memory doesn't keep, and from where on.
    fn behind(&self, reader: &Follower) -> Option<(TaskId, u64)> {
        self.with(|logs| {
            let build = logs.builds.get(&reader.build)?;
            let behind = |(task, place): (&TaskId, &u64)| {
                let log = build.tasks.get(task)?;
                (*place < log.first()).then_some((*task, *place))
            };
            reader.places.iter().find_map(behind)
        })
    }

    /// Looks at a log without anything to tell readers.
    fn look<T>(&self, task: TaskId, look: impl FnOnce(&mut TaskLog) -> T) -> Option<T> {
        self.with(|logs| {
            let build = logs.builds.get_mut(logs.builds_of.get(&task)?)?;
            build.tasks.get_mut(&task).map(look)
        })
    }

    /// Changes a log, keeps count of memory, and wakes readers. `None` when the task isn't known.
    fn change<T>(&self, task: TaskId, change: impl FnOnce(&mut TaskLog) -> T) -> Option<T> {
        self.with(|logs| {
            let build = logs.builds.get_mut(logs.builds_of.get(&task)?)?;
            let log = build.tasks.get_mut(&task)?;
            let before = log.bytes();
            let result = change(log);
            if self.archive.is_none() {
                log.rest(log.next(), false);
            }
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

/// The events from `place` on of the segment that has it; `None` when none has, or it can't be read: the reader is then told
/// that they are not kept.
async fn at_rest(archive: &Archive, reader: &mut Follower, task: TaskId, place: u64) -> Option<Vec<Record>> {
    let holds =
        |(of, segment): &&(TaskId, Segment)| *of == task && (segment.first..segment.next).contains(&place);
    if !reader.segments.iter().any(|segment| holds(&segment)) {
        reader.segments = archive.segments(reader.build).await.unwrap_or_default();
    }
    let (_, segment) = reader.segments.iter().find(holds)?;
    match archive.read(segment).await {
        Ok(records) => {
            let wanted: Vec<Record> = records.into_iter().filter(|record| record.sequence >= place).collect();
            (!wanted.is_empty()).then_some(wanted)
        }
        Err(error) => {
            tracing::warn!(%task, error = kiln_plan::fault::chain(&error), "events at rest could not be read");
            None
        }
    }
}

impl Logs {
    /// Halves the longest log until all fit. Halving makes it seldom.
    fn make_room(&mut self, memory: usize) {
        while self.bytes > memory {
            let all = self.builds.values_mut().flat_map(|build| build.tasks.values_mut());
            let Some(longest) = all.max_by_key(|log| log.at_rest_bytes()) else { return };
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
            if !log.is_known() {
                ended = false;
                continue;
            }
            let records = log.after(*place, &mut room);
            if let Some(last) = records.last() {
                *place = last.sequence + 1;
                update.push(TaskRecords { task: *task, records });
            }
            ended &= log.is_known() && log.is_sealed() && *place >= log.next();
        }
        (update, ended)
    }
}
