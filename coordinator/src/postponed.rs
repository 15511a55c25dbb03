//! Tasks that the farm can't hand out since the object store fails: when each is tried again, and why it waits.
//!
//! ```text
//!   a plan can't be read ──► HandBack: the task waits again, and no attempt is counted
//!                              ├──► the task is held back, longer each time, while others are tried
//!                              └──► the store counts as failing: one task at a time is given out, ever less often,
//!                                   until a plan is read
//! ```
//!
//! The first keeps a plan that can't be read from holding up the others, the second keeps a hundred thousand tasks from being
//! given and handed back in turn. All of it lies in the leader's memory; to forget it costs one try each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_plan::id::TaskId;
use tokio::time::Instant;

/// The wait after the first failure, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// What is held back.
#[derive(Debug, Default)]
pub(crate) struct Postponed {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    tasks: BTreeMap<TaskId, Wait>,
    /// How often the store has failed since it last did not.
    store: Option<Wait>,
    /// Whether something was given out since it last failed.
    trying: bool,
}

/// A wait for the next try.
#[derive(Clone, Debug)]
struct Wait {
    failures: u32,
    until: Instant,
    why: String,
}

/// What a round of assigning may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Tasks that are not its business.
    pub(crate) held_back: BTreeSet<TaskId>,
    /// The most it may assign.
    pub(crate) most: usize,
}

/// Doubles from [`FIRST`] to [`LONGEST`].
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(doubled).min(LONGEST)
}

impl Wait {
    fn after(earlier: Option<&Self>, why: &str, now: Instant) -> Self {
        let failures = earlier.map_or(0, |wait| wait.failures).saturating_add(1);
        Self { failures, until: now + pause(failures), why: why.to_owned() }
    }
}

impl Postponed {
    /// What a task needs could not be read.
    pub(crate) fn failed(&self, task: TaskId, why: &str) {
        self.with(|held, now| {
            let wait = Wait::after(held.tasks.get(&task), why, now);
            held.tasks.insert(task, wait);
            // What was under way together has failed together.
            let counts = |wait: &Wait| held.trying || now >= wait.until;
            if held.store.as_ref().is_none_or(counts) {
                held.trying = false;
                held.store = Some(Wait::after(held.store.as_ref(), why, now));
            }
        });
    }

    /// What a task needs was read.
    pub(crate) fn succeeded(&self, task: TaskId) {
        self.with(|held, _| {
            held.tasks.remove(&task);
            (held.store, held.trying) = (None, false);
        });
    }

    /// What a round may do that would assign at most `most`. Forgets tasks that are not `known` any more.
    pub(crate) fn allowed(&self, most: usize, known: impl Fn(TaskId) -> bool) -> Allowed {
        self.with(|held, now| {
            held.tasks.retain(|task, _| known(*task));
            let waiting = held.tasks.iter().filter(|(_, wait)| wait.until > now);
            let held_back = waiting.map(|(task, _)| *task).collect();
            let most = match &held.store {
                None => most,
                Some(wait) if wait.until > now => 0,
                Some(_) => most.min(1),
            };
            Allowed { held_back, most }
        })
    }

    /// A round has assigned something: while the store fails, that is the one try for now.
    pub(crate) fn tried(&self) {
        self.with(|held, now| {
            if let Some(store) = &mut held.store {
                held.trying = true;
                store.until = now + pause(store.failures);
            }
        });
    }

    /// Why a waiting task is not given out, in words; `None` when nothing of this keeps it.
    pub(crate) fn why(&self, task: TaskId) -> Option<String> {
        self.with(|held, now| {
            let left = |wait: &Wait| wait.until.saturating_duration_since(now).as_secs() + 1;
            let own = held.tasks.get(&task).map(|wait| {
                let Wait { failures, why, .. } = wait;
                let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
                format!(
                    "what it needs could not be read, {times} so far, which counts as no attempt: {why}; it is tried again in \
                     {} s or soon after",
                    left(wait)
                )
            });
            let store = held.store.as_ref().map(|wait| {
                let why = &wait.why;
                format!("while the object store fails, one task at a time is tried, now and then: {why}")
            });
            own.or(store)
        })
    }

    /// Forgets everything, as a new leader must.
    pub(crate) fn clear(&self) {
        self.with(|held, _| *held = Held::default());
    }

    fn with<T>(&self, work: impl FnOnce(&mut Held, Instant) -> T) -> T {
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u128) -> TaskId {
        TaskId::new(uuid::Uuid::from_u128(n))
    }

    /// `most: tasks held back`
    fn allowed(postponed: &Postponed) -> String {
        let Allowed { held_back, most } = postponed.allowed(9, |_| true);
        let held: Vec<String> = held_back.iter().map(|task| task.0.as_u128().to_string()).collect();
        format!("{most}: {}", held.join(" "))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_store_is_tried_ever_less_often_with_another_task_each_time() {
        let postponed = Postponed::default();
        assert_eq!(allowed(&postponed), "9: ");
        postponed.failed(task(1), "it is down");
        postponed.failed(task(2), "it is down");
        assert_eq!(allowed(&postponed), "0: 1 2");
        let mut tries = Vec::new();
        let mut last = Instant::now();
        while tries.len() < 9 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if postponed.allowed(9, |_| true).most == 1 {
                tries.push(last.elapsed().as_millis());
                last = Instant::now();
                postponed.tried();
                assert_eq!(postponed.allowed(9, |_| true).most, 0, "one try at a time");
                // At once, or late.
                tokio::time::sleep(Duration::from_secs(40) * (tries.len() as u32 / 9)).await;
                postponed.failed(task(3), "it is down");
            }
        }
        assert_eq!(tries, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
        let why = postponed.why(task(3)).unwrap();
        assert_eq!(
            why,
            "what it needs could not be read, 9 times so far, which counts as no attempt: it is down; it is tried again in 31 \
             s or soon after"
        );
        assert!(postponed.why(task(4)).unwrap().starts_with("while the object store fails"));
        tokio::time::sleep(LONGEST).await;
        postponed.succeeded(task(4));
        assert_eq!((allowed(&postponed), postponed.why(task(4))), ("9: ".to_owned(), None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_plan_that_can_not_be_read_holds_up_no_other() {
        let postponed = Postponed::default();
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            postponed.failed(task(1), "it is gone");
            postponed.succeeded(task(2));
            assert_eq!(allowed(&postponed), "9: 1");
            tokio::time::sleep(Duration::from_secs(expected) - Duration::from_millis(1)).await;
            assert_eq!(allowed(&postponed), "9: 1");
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(allowed(&postponed), "9: ");
        }
        assert!(postponed.why(task(1)).is_some(), "it is remembered until it ends");
        postponed.allowed(9, |_| false);
        assert_eq!(postponed.why(task(1)), None);
    }
}
