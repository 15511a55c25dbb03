//! Terms of service: from being elected leader until being one no more.
//!
//! ```text
//!   leads ──► drop what an earlier term left in memory ──► open the logs again ──► serve
//!                                                                                   │
//!             streams end ("no longer leads"), memory is dropped ◄── leads no more ─┘
//! ```
//!
//! Whatever is not in the ledger belongs to a term: event logs, answers, who is connected. A new leader starts with none
//! of it and is told again by the agents, so nothing of an earlier term may be mixed into it.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use kiln_model::{Build, FarmState};
use kiln_plan::id::{AgentId, BuildId};
use kiln_proto::{Code, Problem};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Coordinator;
use crate::events::Story;
use crate::ledger::Leadership;

/// Builds whose events at rest are looked up at the same time.
const LOOKED_UP_AT_ONCE: usize = 16;

/// The term that is being served, if any.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    current: Mutex<Option<Term>>,
    changed: watch::Sender<()>,
}

/// One term. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    number: u64,
    ended: CancellationToken,
    closing: CancellationToken,
}

impl Term {
    /// Waits until it has ended: another leads, or this coordinator closes. Then says so.
    pub(crate) async fn ended(&self) -> Problem {
        self.ended.cancelled().await;
        self.end()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// What is told to those whose streams end with it.
    pub(crate) fn end(&self) -> Problem {
        let told = if self.closing.is_cancelled() {
            "this coordinator is about to stop"
        } else {
            "this coordinator no longer leads the farm; connect again"
        };
        Problem::new(Code::Unavailable, told)
    }
}

impl Terms {
    /// The term that is being served.
    ///
    /// # Errors
    /// When this coordinator doesn't lead.
    pub(crate) fn current(&self) -> Result<Term, Problem> {
        let not_leading =
            || Problem::new(Code::Unavailable, "this coordinator doesn't lead the farm; try again");
        self.with(|current| current.clone()).ok_or_else(not_leading)
    }

    /// Whether there is one.
    pub(crate) fn serves(&self) -> bool {
        self.with(|current| current.is_some())
    }

    /// Tells of every beginning and end.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<Term>) -> T) -> T {
        work(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Begins and ends terms as the leadership demands, from now on until the coordinator falls quiet. When this
/// coordinator leads already, its first term has begun when this returns.
pub(crate) fn start(coordinator: &Arc<Coordinator>) {
    let mut leadership = coordinator.ledger.leadership();
    settle(coordinator, &leadership.borrow_and_update().clone());
    let coordinator = Arc::clone(coordinator);
    let tasks = coordinator.lifecycle.tasks().clone();
    tasks.spawn(async move {
        let quiet = coordinator.lifecycle.quiet().clone();
        let follow = async {
            while leadership.changed().await.is_ok() {
                let now = leadership.borrow_and_update().clone();
                settle(&coordinator, &now);
            }
        };
        quiet.run_until_cancelled(follow).await;
        settle(&coordinator, &Leadership::Nobody);
    });
}

fn settle(coordinator: &Arc<Coordinator>, leadership: &Leadership) {
    let leads = match leadership {
        Leadership::Leads { term } => Some(*term),
        Leadership::Nobody | Leadership::Follows { .. } => None,
    };
    let terms = &coordinator.terms;
    if terms.with(|current| current.as_ref().map(|term| term.number)) == leads {
        return;
    }
    if let Some(term) = terms.with(Option::take) {
        term.ended.cancel();
    }
    coordinator.events.clear();
    coordinator.answers.clear();
    if let Some(number) = leads {
        coordinator.clock.catch_up(coordinator.ledger.read(kiln_model::FarmState::now));
        coordinator.vigil.restart();
        coordinator.pulse.with(|liveness, _| liveness.restart());
        coordinator.memory.forget();
        coordinator.postponed.clear();
        let closing = coordinator.lifecycle.closing();
        let term = Term { number, ended: closing.child_token(), closing: closing.clone() };
        reopen_logs(coordinator, &term);
        terms.with(|current| *current = Some(term));
    }
    terms.changed.send_replace(());
}

/// Opens logs for the builds that the ledger knows from earlier terms, and looks up what is at rest of each.
fn reopen_logs(coordinator: &Arc<Coordinator>, term: &Term) {
    let builds: Vec<BuildId> = coordinator.ledger.read(|farm| {
        for build in farm.builds().values() {
            open_again(coordinator, farm, build);
        }
        // Those under way first: their agents wait.
        let (ended, running): (Vec<&Build>, Vec<&Build>) =
            farm.builds().values().partition(|build| build.is_ended());
        running.into_iter().chain(ended).map(|build| build.id).collect()
    });
    let (coordinator, term) = (Arc::clone(coordinator), term.clone());
    let tasks = coordinator.lifecycle.tasks().clone();
    tasks.spawn(async move {
        let look_up = builds.into_iter().map(|build| look_up(&coordinator, build));
        let all = futures::stream::iter(look_up).buffer_unordered(LOOKED_UP_AT_ONCE).collect::<()>();
        term.ended.run_until_cancelled(all).await;
    });
}

/// Opens the logs of builds that the ledger knows and that have none: somebody who submitted one was told that it failed, and
/// yet it was taken.
pub(crate) async fn open_missing_logs(coordinator: &Coordinator) {
    let Ok(term) = coordinator.terms.current() else { return };
    let opened: Vec<BuildId> = coordinator.ledger.read(|farm| {
        let missing = farm.builds().values().filter(|build| !coordinator.events.has(build.id));
        missing.map(|build| open_again(coordinator, farm, build)).collect()
    });
    for build in opened {
        term.ended.run_until_cancelled(look_up(coordinator, build)).await;
    }
}

fn open_again(coordinator: &Coordinator, farm: &FarmState, build: &Build) -> BuildId {
    let tasks = build.tasks.iter().filter_map(|id| farm.tasks().get(id));
    coordinator.events.reopen(build.id, tasks.map(|task| (task.id, Story::of(farm, task))));
    build.id
}

/// Looks up what is at rest of a build, and wakes the agents that may have waited for it to begin.
async fn look_up(coordinator: &Coordinator, build: BuildId) {
    coordinator.events.look_up(build).await;
    let holders: Vec<AgentId> = coordinator.ledger.read(|farm| {
        let tasks = farm.builds().get(&build).into_iter().flat_map(|build| &build.tasks);
        tasks.filter_map(|task| Some(farm.tasks().get(task)?.lease()?.agent)).collect()
    });
    coordinator.roster.wake(&holders);
}
