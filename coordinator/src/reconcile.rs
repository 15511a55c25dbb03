//! What the state demands is done: each duty looks at the present state and proposes what is due. Idempotent,
//! without input, woken by change and by time, so that nothing depends on having been told.
//!
//! | duty | woken by | does |
//! |---|---|---|
//! | assign | change | gives waiting tasks to agents with room |
//! | wake_agents | change | wakes the streams of agents whose orders changed |
//! | seal_logs | change | ends the logs of finished tasks |
//! | silence | each second | takes leases back, ends what takes too long, marks silent agents |
//! | lost_agents | each second | gives up agents that are lost for long |
//! | hopeless_tasks | each second | fails what nobody can take |
//! | images | each hour | deletes what no image needs |
//! | retention | each minute | forgets what is over |
//! | identities_seen | change | tells streams that somebody was revoked |
//! | identities | each minute | forgets old tokens, seals the authority with the latest farm key |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kiln_model::{Action, Scheduler};

mod assign;
mod hopeless_tasks;
mod identities;
mod images;
mod lost_agents;
mod rest_events;
mod retention;
mod seal_logs;
mod silence;
mod wake_agents;

use crate::Coordinator;
use crate::ledger::ProposeError;

/// What wakes a duty.
#[derive(Clone, Copy, Debug)]
enum Wake {
    /// Every change of the farm's state, and the passing of [`AT_LEAST`].
    Change,
    /// The passing of time.
    Every(Duration),
}

/// Even a duty that is woken by change looks this often.
const AT_LEAST: Duration = Duration::from_secs(5);

const SECOND: Duration = Duration::from_secs(1);

/// Who does a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The coordinator that leads.
    Leader,
    /// Every coordinator, since it concerns its own memory.
    Everyone,
}

struct Duty {
    name: &'static str,
    wake: Wake,
    who: Who,
    /// Does what is due, and returns how much that was.
    run: for<'a> fn(&'a Coordinator) -> BoxFuture<'a, Result<usize, ProposeError>>,
}

/// What duties remember from one look to the next. To forget it costs time and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    scheduler: Mutex<Scheduler>,
    sealed: Mutex<seal_logs::Sealed>,
    /// Up to which change of orders the streams of agents were woken.
    woken: AtomicU64,
}

impl Memory {
    /// Forgets everything, as a new leader must: what it remembers is of a state that others have changed since.
    pub(crate) fn forget(&self) {
        *self.scheduler.lock().unwrap_or_else(PoisonError::into_inner) = Scheduler::default();
        *self.sealed.lock().unwrap_or_else(PoisonError::into_inner) = seal_logs::Sealed::default();
        self.woken.store(0, Ordering::Relaxed);
    }
}

const DUTIES: &[Duty] = &[
    Duty { name: "assign", wake: Wake::Change, who: Who::Leader, run: |c| Box::pin(assign::run(c)) },
    Duty {
        name: "wake_agents",
        wake: Wake::Change,
        who: Who::Everyone,
        run: |c| Box::pin(wake_agents::run(c)),
    },
    Duty { name: "seal_logs", wake: Wake::Change, who: Who::Everyone, run: |c| Box::pin(seal_logs::run(c)) },
    Duty { name: "silence", wake: Wake::Every(SECOND), who: Who::Leader, run: |c| Box::pin(silence::run(c)) },
    Duty {
        name: "lost_agents",
        wake: Wake::Every(SECOND),
        who: Who::Leader,
        run: |c| Box::pin(lost_agents::run(c)),
    },
    Duty {
        name: "hopeless_tasks",
        wake: Wake::Every(SECOND),
        who: Who::Leader,
        run: |c| Box::pin(hopeless_tasks::run(c)),
    },
    Duty {
        name: "images",
        wake: Wake::Every(Duration::from_secs(3_600)),
        who: Who::Leader,
        run: |c| Box::pin(images::run(c)),
    },
    Duty {
        name: "rest_events",
        wake: Wake::Every(SECOND),
        who: Who::Leader,
        run: |c| Box::pin(rest_events::run(c)),
    },
    Duty {
        name: "retention",
        wake: Wake::Every(Duration::from_secs(60)),
        who: Who::Leader,
        run: |c| Box::pin(retention::run(c)),
    },
    Duty {
        name: "identities_seen",
        wake: Wake::Change,
        who: Who::Everyone,
        run: |c| Box::pin(identities::see(c)),
    },
    Duty {
        name: "identities",
        wake: Wake::Every(Duration::from_secs(60)),
        who: Who::Leader,
        run: |c| Box::pin(identities::tidy(c)),
    },
];

/// Starts every duty; they end when the coordinator falls quiet.
pub(crate) fn start(coordinator: &Arc<Coordinator>) {
    for duty in DUTIES {
        let coordinator = Arc::clone(coordinator);
        let tasks = coordinator.lifecycle.tasks().clone();
        tasks.spawn(async move {
            let quiet = coordinator.lifecycle.quiet().clone();
            // A proposal that is under way may be dropped: what it didn't do is found due the next time.
            quiet.run_until_cancelled(drive(&coordinator, duty)).await;
        });
    }
}

async fn drive(coordinator: &Coordinator, duty: &Duty) {
    let mut changes = coordinator.ledger.changes();
    let mut terms = coordinator.terms.changes();
    loop {
        changes.mark_unchanged();
        terms.mark_unchanged();
        if duty.who == Who::Everyone || coordinator.terms.serves() {
            match (duty.run)(coordinator).await {
                Ok(0) => {}
                Ok(done) => tracing::debug!(duty = duty.name, done, "reconciled"),
                Err(error) => tracing::warn!(duty = duty.name, %error, "could not reconcile; will try again"),
            }
        } else {
            // Who leads next gives everybody a full term to be heard of.
            coordinator.pulse.with(|liveness, _| liveness.restart());
        }
        match duty.wake {
            Wake::Every(period) => tokio::time::sleep(period).await,
            // Whether it changed or time passed, the state says what is due.
            Wake::Change => {
                let woken = async {
                    tokio::select! {
                        _ = changes.changed() => {}
                        _ = terms.changed() => {}
                    }
                };
                drop(tokio::time::timeout(AT_LEAST, woken).await);
            }
        }
    }
}

/// Proposes, and counts what was not refused: what others did meanwhile is not due any more.
async fn propose(coordinator: &Coordinator, actions: Vec<Action>) -> Result<usize, ProposeError> {
    if actions.is_empty() {
        return Ok(0);
    }
    let outcomes = coordinator.ledger.propose_all(actions).await?;
    Ok(outcomes.iter().filter(|outcome| outcome.refusal().is_none()).count())
}
