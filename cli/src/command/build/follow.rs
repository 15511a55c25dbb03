//! A build that is followed to its end, near or far: events are shown, questions answered, signals obeyed.
//!
//! ```text
//!   following ── the farm is out of reach, or ends before all is told ──► trying again, for as long as an agent would
//!       │        ◄────────────────── it tells of it again ───────────────────┘   hold out ──► given up
//!       ├── how each task ended was told ──► the end
//!       ├── first signal ──► cancelled; follows on
//!       └── second signal ──► left
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{Event, EventKind};
use tokio::time::Instant;

use crate::farm_client::{FarmClient, FarmError, Following};
use crate::interrupt::{Interrupt, Interrupts};
use crate::patience::Patience;
use crate::render::Screen;
use crate::render::run::RunView;

/// How long a farm that is out of reach is tried again: as long as its agents keep their guests.
const PATIENCE: Duration = Duration::from_secs(600);

/// A farm that was followed for so long without a break has come back for good.
const STEADY: Duration = Duration::from_secs(60);

/// After so long without a word of any task a person is told where to ask why.
const SILENCE: Duration = Duration::from_secs(10);

/// A build that is being followed.
pub(crate) struct Follow<'a> {
    client: FarmClient,
    build: BuildId,
    screen: &'a Screen,
    /// The first event of each task that has not been shown.
    places: BTreeMap<TaskId, u64>,
    /// When the stream was opened, and what is left of the patience with one that breaks again and again.
    opened: Instant,
    broken: Option<Patience>,
    interrupted: bool,
    /// Whether a signal ends the build, and not only the showing.
    owner: bool,
    /// When a person is told that nothing has begun, where a build may wait.
    silent_until: Option<Instant>,
}

/// How far a build was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Until all had ended.
    ToTheEnd {
        /// Whether somebody asked for the end before.
        interrupted: bool,
    },
    /// Until somebody didn't want to wait for that.
    Left,
}

impl<'a> Follow<'a> {
    /// A build to be followed from its beginning.
    pub(crate) fn new(client: FarmClient, build: BuildId, screen: &'a Screen) -> Self {
        Self {
            client,
            build,
            screen,
            places: BTreeMap::new(),
            opened: Instant::now(),
            broken: None,
            interrupted: false,
            owner: true,
            silent_until: None,
        }
    }

    /// The same for a build that may have to wait for machines: a person is told where to ask what for.
    pub(crate) fn queued(client: FarmClient, build: BuildId, screen: &'a Screen) -> Self {
        Self { silent_until: Some(Instant::now() + SILENCE), ..Self::new(client, build, screen) }
    }

    /// The same for somebody who only looks: a signal doesn't end the build, and questions are others' to answer.
    pub(crate) fn only_looking(client: FarmClient, build: BuildId, screen: &'a Screen) -> Self {
        Self { owner: false, ..Self::new(client, build, screen) }
    }

    /// Shows what happens until all has ended or a person leaves.
    ///
    /// # Errors
    /// When the farm doesn't answer any more.
    pub(crate) async fn until_the_end(
        mut self,
        view: &mut RunView<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<Followed, FarmError> {
        let mut events = match self.open().await {
            // The leader that took the build may be gone by now.
            Err(error) if error.is_passing() => match self.again(error, interrupts).await? {
                Some(following) => following,
                None => return Ok(Followed::Left),
            },
            opened => opened?,
        };
        loop {
            tokio::select! {
                update = events.next() => match update {
                    Ok(Some(update)) => update.iter().for_each(|event| self.show(event, view)),
                    Ok(None) if view.has_ended() => {
                        return Ok(Followed::ToTheEnd { interrupted: self.interrupted });
                    }
                    ended => {
                        // A stream that was cut may look like one that ended.
                        let why = ended.err().unwrap_or(FarmError::Untold);
                        if !why.is_passing() {
                            return Err(why);
                        }
                        let Some(again) = self.again(why, interrupts).await? else { return Ok(Followed::Left) };
                        events = again;
                    }
                },
                () = until(self.silent_until) => {
                    self.silent_until = None;
                    let build = self.build;
                    self.screen.say(&format!("No task has begun yet; `kiln farm explain {build}` tells why."));
                }
                interrupt = interrupts.next() => {
                    if self.obey(interrupt).await? == Obeyed::Leaves {
                        return Ok(Followed::Left);
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Following, FarmError> {
        let places = self.places.iter().map(|(task, place)| (*task, *place)).collect();
        let following = self.client.follow(self.build, places).await;
        self.opened = Instant::now();
        following
    }

    /// Tries until the farm answers; `None` when a person leaves meanwhile.
    async fn again(
        &mut self,
        mut why: FarmError,
        interrupts: &mut Interrupts,
    ) -> Result<Option<Following>, FarmError> {
        let broken = self.broken.take().filter(|_| self.opened.elapsed() < STEADY);
        let mut is_first = broken.is_none();
        let mut patience = broken.unwrap_or_else(|| Patience::of(PATIENCE));
        if is_first {
            self.screen.plain_error("The farm is out of reach; trying again. The build goes on meanwhile.");
        }
        let was_whole = is_first;
        loop {
            if !std::mem::take(&mut is_first) {
                tokio::select! {
                    more = patience.pause() => if !more { return Err(why) },
                    _ = interrupts.next() => return Ok(None),
                }
            }
            tokio::select! {
                opened = self.resume() => match opened {
                    Ok(following) => {
                        if was_whole {
                            self.screen.say("The farm answers again.");
                        }
                        self.broken = Some(patience);
                        return Ok(Some(following));
                    }
                    Err(error) if error.is_passing() => why = error,
                    Err(error) => return Err(error),
                },
                _ = interrupts.next() => return Ok(None),
            }
        }
    }

    /// Follows on, and asks once more for the end that was asked for: the farm may not have heard of it.
    async fn resume(&mut self) -> Result<Following, FarmError> {
        let following = self.open().await?;
        if self.interrupted {
            self.client.cancel(self.build).await?;
        }
        Ok(following)
    }

    fn show(&mut self, event: &Event, view: &mut RunView<'_>) {
        (self.broken, self.silent_until) = (None, None);
        self.places.insert(event.task, event.sequence + 1);
        view.event(event);
        if self.owner {
            self.answer(event, view);
        }
    }

    async fn obey(&mut self, interrupt: Interrupt) -> Result<Obeyed, FarmError> {
        match interrupt {
            Interrupt::Cancel(_) if !self.owner => Ok(Obeyed::Leaves),
            Interrupt::Cancel(name) => {
                self.interrupted = true;
                self.screen.plain_error(&format!("Cancelling build after receiving {name}"));
                match self.client.cancel(self.build).await {
                    // It is told once the farm answers again.
                    Err(error) if error.is_passing() => {}
                    cancelled => cancelled?,
                }
                Ok(Obeyed::Stays)
            }
            Interrupt::Leave => {
                self.screen.settle();
                self.screen.plain_error("Leaving at once; removing what is left");
                Ok(Obeyed::Leaves)
            }
        }
    }

    /// Passes a question on to whoever sits there, while events go on coming.
    fn answer(&self, event: &Event, view: &RunView<'_>) {
        let EventKind::Question { id, text } = &event.kind else { return };
        let asked = self.screen.ask(&format!("==> {}: {text}", view.name(event.task)));
        let (mut client, task, id) = (self.client.clone(), event.task, *id);
        tokio::spawn(async move {
            let text = asked.await;
            // A task that has ended meanwhile needs no answer any more.
            let _ = client.answer(task, id, text).await;
        });
    }
}

/// Waits for a moment that may never come.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What a signal led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obeyed {
    /// The build is followed on.
    Stays,
    /// It is not.
    Leaves,
}
