//! A build that is followed to its end, near or far: events are shown, questions answered, signals obeyed.
//!
//! ```text
//!   following ── the farm is out of reach ──► trying again, for as long as an agent would hold out ──► following
//!       │                                                                       └──► given up
//!       ├── all has been told ──► the end
//!       ├── first signal ──► cancelled; follows on
//!       └── second signal ──► left
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{Event, EventKind};

use crate::farm_client::{FarmClient, FarmError, Following};
use crate::interrupt::{Interrupt, Interrupts};
use crate::patience::Patience;
use crate::render::Screen;
use crate::render::run::RunView;

/// How long a farm that is out of reach is tried again: as long as its agents keep their guests.
const PATIENCE: Duration = Duration::from_secs(600);

/// A build that is being followed.
pub(crate) struct Follow<'a> {
    client: FarmClient,
    build: BuildId,
    screen: &'a Screen,
    /// The first event of each task that has not been shown.
    places: BTreeMap<TaskId, u64>,
    interrupted: bool,
    /// Whether a signal ends the build, and not only the showing.
    owner: bool,
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
        Self { client, build, screen, places: BTreeMap::new(), interrupted: false, owner: true }
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
            Err(error) if error.is_passing() => match self.again(interrupts).await? {
                Some(following) => following,
                None => return Ok(Followed::Left),
            },
            opened => opened?,
        };
        loop {
            tokio::select! {
                update = events.next() => match update {
                    Ok(Some(update)) => update.iter().for_each(|event| self.show(event, view)),
                    Ok(None) => return Ok(Followed::ToTheEnd { interrupted: self.interrupted }),
                    Err(error) if error.is_passing() => {
                        let Some(again) = self.again(interrupts).await? else { return Ok(Followed::Left) };
                        events = again;
                    }
                    Err(error) => return Err(error),
                },
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
        self.client.follow(self.build, places).await
    }

    /// Tries until the farm answers; `None` when a person leaves meanwhile.
    async fn again(&mut self, interrupts: &mut Interrupts) -> Result<Option<Following>, FarmError> {
        let mut patience = Patience::of(PATIENCE);
        self.screen.plain_error("The farm is out of reach; trying again. The build goes on meanwhile.");
        loop {
            let error = tokio::select! {
                opened = self.resume() => match opened {
                    Ok(following) => {
                        self.screen.say("The farm answers again.");
                        return Ok(Some(following));
                    }
                    Err(error) if error.is_passing() => error,
                    Err(error) => return Err(error),
                },
                _ = interrupts.next() => return Ok(None),
            };
            tokio::select! {
                more = patience.pause() => if !more { return Err(error) },
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

/// What a signal led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obeyed {
    /// The build is followed on.
    Stays,
    /// It is not.
    Leaves,
}
