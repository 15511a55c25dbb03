//! The daemon's side of one attempt: starts or finds its process, carries words to and fro, and tells how it ended.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_component::Journal;
use kiln_component::process::table::ProcessId;
use kiln_plan::event::TaskOutcome;
use kiln_plan::{Failure, Fault};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::control::{News, Wish, Words, say};
use super::place::{Lock, Place};
use super::publication;
use crate::image::Publisher;
use crate::link::{Answer, AttemptKey, Voice};

/// Between two tries to reach a process that lives and doesn't listen yet.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A living process that can't be reached for this long is stuck, and killed.
const REACH_LIMIT: Duration = Duration::from_secs(300);

/// A process that was told to stop has this long to undo everything; its undo steps have deadlines of their own.
const STOP_LIMIT: Duration = Duration::from_secs(600);

/// How long the kernel may take to release the lock of a process that is gone.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// One attempt.
#[derive(Debug)]
pub(super) struct Host {
    key: AttemptKey,
    place: Place,
    run_dir: PathBuf,
    wishes: Mutex<Wishes>,
    /// Rung when there are new ones.
    wished: Notify,
}

/// Everything that the process should know; said again on each connection.
#[derive(Debug, Default)]
struct Wishes {
    stop_since: Option<Instant>,
    all: Vec<Wish>,
}

/// How it is known whether the process lives.
#[derive(Debug)]
pub(super) enum Life {
    /// By being its parent.
    Child(Box<Child>),
    /// By its lock.
    Adopted,
}

impl Life {
    /// Starts the process of a prepared attempt.
    pub(super) fn start(program: &Path, place: &Place) -> Result<Self, Failure> {
        let log = || place.log().map_err(|e| Failure::from_error(Fault::Machine, &e));
        let mut command = Command::new(program);
        command.arg("attempt").arg(place.directory()).stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        // It makes itself the leader of a session of its own, which a group's leader couldn't.
        let child = command.kill_on_drop(false).spawn();
        let unable =
            |error| Failure::new(Fault::Machine, format!("cannot start {}: {error}", program.display()));
        child.map(|child| Self::Child(Box::new(child))).map_err(unable)
    }

    /// A process that an earlier daemon started.
    pub(super) const fn adopted() -> Self {
        Self::Adopted
    }

    fn has_ended(&mut self, place: &Place) -> bool {
        match self {
            Self::Child(child) => match child.try_wait() {
                Ok(status) => status.is_some(),
                // Somebody else has collected it, or never will: the lock tells.
                Err(_) => matches!(place.lock(), Ok(Some(_))),
            },
            Self::Adopted => matches!(place.lock(), Ok(Some(_))),
        }
    }

    fn kill(&mut self, place: &Place) {
        match self {
            // It may end in this very moment.
            Self::Child(child) => drop(child.start_kill()),
            Self::Adopted => {
                if let Some(process) = place.process().filter(|p| ProcessId::is_alive(*p)) {
                    let _gone = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
                }
            }
        }
    }
}

impl Host {
    pub(super) fn new(key: AttemptKey, place: Place, run_dir: PathBuf) -> Self {
        Self { key, place, run_dir, wishes: Mutex::default(), wished: Notify::new() }
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Ends it early, because nobody wants it any more.
    pub(super) fn stop(&self) {
        self.end(Wish::Stop {});
    }

    /// Ends it early, because this machine does.
    pub(super) fn leave(&self) {
        self.end(Wish::Leave {});
    }

    fn end(&self, wish: Wish) {
        let mut wishes = self.wishes();
        if wishes.stop_since.is_none() {
            wishes.stop_since = Some(Instant::now());
            wishes.all.push(wish);
        }
        drop(wishes);
        self.wished.notify_one();
    }

    /// Passes on an answer.
    pub(super) fn answer(&self, answer: Answer) {
        self.wishes().all.push(Wish::Answer { question: answer.question, text: answer.text });
        self.wished.notify_one();
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stays with the process until it has ended, and tells how.
    pub(super) async fn attend(&self, mut life: Life, voice: Voice, publisher: Option<&Publisher>) {
        let mut reached = Instant::now();
        while !life.has_ended(&self.place) {
            if let Ok(stream) = UnixStream::connect(self.place.socket()).await {
                self.converse(stream, &mut life, &voice).await;
                reached = Instant::now();
            }
            if reached.elapsed() > REACH_LIMIT || self.stops_for() > STOP_LIMIT {
                tracing::error!(task = %self.key.task, "the process of an attempt is stuck; killing it");
                life.kill(&self.place);
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        // To the very end, so that no process that starts late comes between.
        let _lock = self.lock().await;
        let outcome = self.clear_up().await;
        let outcome = self.told(async || self.published(outcome, &voice, publisher).await).await;
        voice.more_events();
        voice.finish(outcome);
    }

    /// What the farm is told, which is `published` once: a daemon after this one tells the same and adds no events, since
    /// the farm takes none that come after the end.
    pub(super) async fn told(&self, published: impl AsyncFnOnce() -> TaskOutcome) -> TaskOutcome {
        match self.place.told() {
            Ok(Some(told)) => return told,
            Ok(None) => {}
            Err(error) => tracing::error!(error = kiln_plan::fault::chain(&error), "what was told is lost"),
        }
        let outcome = published().await;
        if let Err(error) = self.place.write_told(&outcome) {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "what is told can't be written down");
        }
        outcome
    }

    /// The outcome once what was made is an image of the farm.
    async fn published(
        &self,
        outcome: TaskOutcome,
        voice: &Voice,
        publisher: Option<&Publisher>,
    ) -> TaskOutcome {
        let (TaskOutcome::Succeeded { .. }, Some(publisher)) = (&outcome, publisher) else { return outcome };
        let about = match self.place.about() {
            Ok(about) => about,
            Err(error) => {
                return TaskOutcome::Failed { failure: Failure::from_error(Fault::Machine, &error) };
            }
        };
        let cancel = CancellationToken::new();
        let published = publication::after(publisher, (&self.place, &about), outcome, voice, &cancel);
        tokio::pin!(published);
        tokio::select! {
            outcome = &mut published => outcome,
            () = self.stopped() => {
                cancel.cancel();
                published.await
            }
        }
    }

    /// Waits until it should end early. For one waiter at a time, before there is a process.
    pub(super) async fn stopped(&self) {
        while self.wishes().stop_since.is_none() {
            self.wished.notified().await;
        }
    }

    fn stops_for(&self) -> Duration {
        self.wishes().stop_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Carries words until the connection breaks, which it does when the process ends.
    async fn converse(&self, stream: UnixStream, life: &mut Life, voice: &Voice) {
        let (read, mut write) = stream.into_split();
        let mut words = Words::of(read);
        let mut said = 0;
        loop {
            let new: Vec<Wish> = self.wishes().all.get(said..).unwrap_or_default().to_vec();
            said += new.len();
            for wish in new {
                if !say(&mut write, &wish).await {
                    return;
                }
            }
            tokio::select! {
                news = words.next() => match news {
                    Some(News::Running {}) => voice.running(),
                    Some(News::Moved {}) => voice.moved(),
                    Some(News::Events { .. }) => voice.more_events(),
                    None => return,
                },
                () = self.wished.notified() => {}
                () = tokio::time::sleep(STOP_LIMIT.saturating_sub(self.stops_for())), if self.stops_for() > Duration::ZERO => {
                    life.kill(&self.place);
                    return;
                }
            }
        }
    }

    /// How it ended. When it broke off, removes what it left.
    async fn clear_up(&self) -> TaskOutcome {
        if let Err(error) = self.place.remove_order() {
            tracing::error!(error = kiln_plan::fault::chain(&error), "an order with its secrets stays");
        }
        match self.place.outcome() {
            Ok(Some(outcome)) => return outcome,
            Ok(None) => {}
            Err(error) => tracing::error!(error = kiln_plan::fault::chain(&error), "an outcome is lost"),
        }
        match Journal::recover(&self.run_dir).await {
            Ok(recovered) => {
                recovered
                    .iter()
                    .for_each(|r| tracing::warn!(task = %self.key.task, "left by an attempt: {r}"));
            }
            Err(error) => tracing::error!(error = kiln_plan::fault::chain(&error), "cannot clear up"),
        }
        let failure =
            Failure::new(Fault::Machine, "the attempt broke off: its process was killed, or crashed")
                .hint("the agent's machine may have run out of memory; its log tells more");
        let outcome = TaskOutcome::Failed { failure };
        // So that a daemon after this one tells the same.
        if let Err(error) = self.place.write_outcome(&outcome) {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "an outcome can't be written down");
        }
        outcome
    }

    /// The lock of a process that is gone.
    async fn lock(&self) -> Option<Lock> {
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match self.place.lock() {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(TRY_AGAIN).await,
                Ok(None) => {
                    tracing::error!(task = %self.key.task, "another process holds the lock of an attempt");
                    return None;
                }
                Err(error) => {
                    tracing::error!(error = kiln_plan::fault::chain(&error), "cannot lock an attempt");
                    return None;
                }
            }
        }
    }
}
