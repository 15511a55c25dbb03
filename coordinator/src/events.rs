//! What happens in tasks, for readers. Appended by agents, followed by people, never in the ledger.
//!
//! ```text
//!   agent ── append(epoch, records) ──► log of the task ──► follow(from …) ── reader, at its own pace
//!                                            ▲
//!   ledger ── story: attempts, why, the end ─┘   a reader comes to its end when it was told how each task ended
//! ```
//!
//! No reader misses an event or is told a clean end too early, whoever leads, because:
//! - A number names one event for ever ([`kiln_proto::event::place`]): attempts have numbers of their own, each is begun
//!   once, and what the ledger knows is told under numbers that follow from it ([`story`]). So a reader may go on at its place
//!   with any leader, and segments of leaders that didn't know of each other agree.
//! - The ledger knows how far the events of an attempt go, once its end is reported. So a new leader, which knows only what is at
//!   rest, waits for the agent to tell the rest again ([`attempt`]), and if that is in vain says what is lost.
//! - A reader leaves an attempt only when it is closed, and the task only with its end ([`log`]).
//!
//! The logs lie in memory, bounded together, and are put to rest in the object store bit by bit; agents keep their events
//! until then, so that a leader may die. A slow reader holds nothing up and costs nothing: it reads from the log at its
//! own place, and what memory keeps no more from the [`archive`]. A farm of one has no archive: there, when memory runs
//! out, the oldest events of the longest log go, and a reader that comes too late for them is told so.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;

use kiln_plan::id::{BuildId, Epoch, TaskId};
use kiln_proto::event::{Record, TaskRecords, place};
use kiln_proto::link::AttemptReceipt;
use tokio::sync::watch;

mod archive;
mod attempt;
mod log;
pub(crate) mod retry_note;
mod story;

#[cfg(test)]
mod tests;

pub(crate) use self::archive::ArchiveError;
use self::archive::{Archive, Segment};
use self::attempt::Missing;
use self::log::{TaskLog, Unrested};
pub(crate) use self::story::Story;
use crate::store::Store;

/// The most bytes of events handed to a reader at once.
const UPDATE_BYTES: usize = 256 << 10;

/// Segments that are written at the same time.
const WRITES: usize = 32;

/// The most segments of one round.
const ROUND: usize = 1_024;

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

/// The build is not known any more, or this coordinator leads no more: there is nothing to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

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
    pub(crate) fn reopen(&self, build: BuildId, tasks: impl IntoIterator<Item = (TaskId, Story)>) {
        let known = self.archive.is_none();
        self.add(build, tasks.into_iter().map(|(task, story)| (task, TaskLog::resumed(story, known))));
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
                log.become_known(|epoch| archive::extent(own(), place::first(epoch)));
            }
            build.changed.send_replace(());
        });
        self.rested.send_replace(());
    }

    /// Whether a task's log is open and can take events.
    pub(crate) fn is_known(&self, task: TaskId) -> bool {
        self.look(task, |log| log.is_known()).unwrap_or(false)
    }

    /// Whether the logs of a build are open.
    pub(crate) fn has(&self, build: BuildId) -> bool {
        self.with(|logs| logs.builds.contains_key(&build))
    }

    fn add(&self, build: BuildId, tasks: impl Iterator<Item = (TaskId, TaskLog)>) {
        self.with(|logs| {
            let tasks: BTreeMap<_, _> = tasks.collect();
            logs.builds_of.extend(tasks.keys().map(|task| (*task, build)));
            logs.builds.insert(build, BuildLogs { tasks, changed: watch::Sender::default() });
        });
    }

    /// Tells readers what the ledger says of a task by now. As often as one likes.
    pub(crate) fn hear(&self, task: TaskId, story: Story) {
        self.change(task, |log| log.hear(story));
    }

    /// The place of the first event that an agent may tell of an attempt which it is about to begin. `None` when that was
    /// begun under another leader: nobody here knows which places were used, and it needs a new epoch.
    pub(crate) fn begin(&self, task: TaskId, epoch: Epoch) -> Option<u64> {
        self.look(task, |log| log.attempt(epoch)?.goes_on())?
    }

    /// Appends events of an attempt: those that were taken before are passed over, those beyond a gap are left.
    pub(crate) fn append(&self, task: TaskId, epoch: Epoch, records: Vec<Record>) -> AttemptReceipt {
        let taken = self.change(task, |log| log.append(epoch, records)).unwrap_or(false);
        AttemptReceipt { refused: !taken, ..self.receipt(task, epoch) }
    }

    /// Whether no more events should be taken until those that are here are at rest.
    pub(crate) fn is_full(&self) -> bool {
        self.archive.is_some() && self.with(|logs| logs.bytes) > 2 * self.memory
    }

    /// How far the events of an attempt have been taken and put to rest.
    pub(crate) fn receipt(&self, task: TaskId, epoch: Epoch) -> AttemptReceipt {
        let rests = self.archive.is_some();
        let reach = self.look(task, |log| {
            let attempt = log.attempt(epoch)?;
            Some((attempt.next(), if rests { attempt.durable() } else { attempt.next() }))
        });
        let (next_sequence, durable_sequence) = reach.flatten().unwrap_or_default();
        AttemptReceipt { task, epoch, next_sequence, durable_sequence, refused: false }
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
        let write = |(build, task, Unrested { epoch, records }): (BuildId, TaskId, Unrested)| async move {
            let next = records.last().map_or(0, |record| record.sequence + 1);
            archive.write(build, task, records).await.map(|()| (task, epoch, next))
        };
        let written: Vec<_> =
            futures::stream::iter(due.into_iter().map(write)).buffer_unordered(WRITES).collect().await;
        let (written, failed): (Vec<_>, Vec<_>) = written.into_iter().partition(Result::is_ok);
        let done = written.len();
        if done > 0 && confirm().await {
            for (task, epoch, next) in written.into_iter().flatten() {
                self.look(task, |log| log.rest(epoch, next));
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
            let due = all.flat_map(|(build, task, log)| log.unrested().map(|due| (*build, *task, due)));
            due.take(ROUND).collect()
        })
    }

    /// Gives up waiting for agents that had their time to tell again what an earlier leader had not put to rest.
    pub(crate) fn settle(&self) {
        self.with(|logs| {
            for build in logs.builds.values_mut() {
                let settled =
                    build.tasks.values_mut().map(TaskLog::settle).fold(false, |any, this| any | this);
                if settled {
                    build.changed.send_replace(());
                }
            }
        });
    }

    /// The tasks whose logs have no end yet.
    pub(crate) fn open_ended(&self) -> Vec<TaskId> {
        self.with(|logs| {
            let all = logs.builds.values().flat_map(|build| &build.tasks);
            all.filter(|(_, log)| !log.has_end()).map(|(task, _)| *task).collect()
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

    /// Removes the logs of a build. Its readers are told that it is gone.
    pub(crate) fn forget(&self, build: BuildId) {
        self.with(|logs| {
            let Some(gone) = logs.builds.remove(&build) else { return };
            for (task, log) in gone.tasks {
                logs.builds_of.remove(&task);
                logs.bytes -= log.bytes();
            }
        });
    }

    /// Removes all logs. Readers are told that they are gone.
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

    /// What comes next for a reader; waits for it. `None` once it was told how each task ended. May be dropped while
    /// waiting without losing anything.
    ///
    /// # Errors
    /// When the logs were removed meanwhile.
    pub(crate) async fn next(&self, reader: &mut Follower) -> Result<Option<Vec<TaskRecords>>, Gone> {
        loop {
            reader.changed.mark_unchanged();
            if let Some(archive) = &self.archive
                && let Some((task, missing)) = self.missing(reader)
            {
                let records = at_rest(archive, reader, task, missing).await;
                let next = records.last().map_or(missing.to, |record| record.sequence + 1);
                reader.places.insert(task, next);
                return Ok(Some(vec![TaskRecords { task, records }]));
            }
            let at_rest = self.archive.is_some();
            let told = self.with(|logs| {
                logs.builds.get(&reader.build).map(|build| build.tell(&mut reader.places, at_rest))
            });
            let (update, ended) = told.ok_or(Gone)?;
            if !update.is_empty() {
                return Ok(Some(update));
            }
            if ended {
                return Ok(None);
            }
            reader.changed.changed().await.map_err(|_| Gone)?;
        }
    }

    /// A task of which a reader wants what memory doesn't keep.
    fn missing(&self, reader: &Follower) -> Option<(TaskId, Missing)> {
        self.with(|logs| {
            let build = logs.builds.get(&reader.build)?;
            let missing =
                |(task, place): (&TaskId, &u64)| Some((*task, build.tasks.get(task)?.missing(*place)?));
            reader.places.iter().find_map(missing)
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
                log.rest_all();
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

/// What is at rest of what a reader misses, or a word about what is lost before that. Tries until the store answers.
async fn at_rest(archive: &Archive, reader: &mut Follower, task: TaskId, missing: Missing) -> Vec<Record> {
    let Missing { from, to, .. } = missing;
    let lost = |to: u64| vec![Missing { to, ..missing }.gone()];
    loop {
        let own =
            |(of, segment): &&(TaskId, Segment)| *of == task && segment.next > from && segment.first < to;
        if !reader.segments.iter().any(|segment| own(&segment) && segment.1.first <= from) {
            match archive.segments(reader.build).await {
                Ok(segments) => reader.segments = segments,
                Err(error) => {
                    unread(task, &error).await;
                    continue;
                }
            }
        }
        let Some((_, segment)) = reader.segments.iter().find(own) else { return lost(to) };
        if segment.first > from {
            return lost(segment.first);
        }
        match archive.read(segment).await {
            Ok(records) => return records.into_iter().filter(|record| record.sequence >= from).collect(),
            Err(error @ ArchiveError::Store(_)) => unread(task, &error).await,
            Err(error @ (ArchiveError::Damaged { .. } | ArchiveError::Gone(_))) => {
                tracing::error!(%task, error = kiln_plan::fault::chain(&error), "events at rest are lost");
                return lost(segment.next.min(to));
            }
        }
    }
}

/// Waits before the store is asked again.
async fn unread(task: TaskId, error: &ArchiveError) {
    let error = kiln_plan::fault::chain(error);
    tracing::warn!(%task, error, "events at rest could not be read; trying again");
    tokio::time::sleep(LOOK_UP_AGAIN).await;
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
    fn tell(&self, places: &mut BTreeMap<TaskId, u64>, at_rest: bool) -> (Vec<TaskRecords>, bool) {
        let mut room = UPDATE_BYTES;
        let mut update = Vec::new();
        let mut all_ended = true;
        for (task, log) in &self.tasks {
            let Some(reader) = places.get_mut(task) else { continue };
            let (records, ended) = log.tell(reader, &mut room, at_rest);
            if !records.is_empty() {
                update.push(TaskRecords { task: *task, records });
            }
            all_ended &= ended;
        }
        (update, all_ended)
    }
}
