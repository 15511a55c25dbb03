//! The attempts under way on this machine: begun, stopped and answered as the link says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kiln_component::Origins;
use kiln_component::reporter::EventSink;
use kiln_plan::{DataAnswer, DataQuery, EventKind};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Settings;
use crate::attempt::{self, AttemptSettings};
use crate::catalog::Factories;
use crate::data_source;
use crate::link::{Answer, AttemptKey, Attempts, Order, Questions, Stop, Voice};

/// The attempts under way.
#[derive(Debug)]
pub struct Underway {
    settings: Settings,
    factories: Arc<Factories>,
    tasks: TaskTracker,
    table: Mutex<BTreeMap<AttemptKey, Arc<Entry>>>,
}

/// What the outside can do to an attempt.
#[derive(Debug)]
struct Entry {
    cancel: CancellationToken,
    questions: Mutex<BTreeMap<u64, oneshot::Sender<String>>>,
}

impl Underway {
    /// None so far.
    pub fn new(settings: Settings, factories: Arc<Factories>) -> Arc<Self> {
        Arc::new(Self { settings, factories, tasks: TaskTracker::new(), table: Mutex::default() })
    }

    /// Waits until all have come to their end.
    pub async fn all_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Arc<Entry>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, key: AttemptKey) -> Option<Arc<Entry>> {
        self.table().get(&key).cloned()
    }
}

/// Lets an attempt in the table find its way out of it, however it ends.
struct Leaving {
    underway: Arc<Underway>,
    key: AttemptKey,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.underway.table().remove(&self.key);
    }
}

/// What the link gives its orders to.
#[derive(Clone, Debug)]
pub struct Hands(pub Arc<Underway>);

impl Attempts for Hands {
    fn start(&self, order: Order, voice: Voice) {
        let underway = Arc::clone(&self.0);
        let entry = Arc::new(Entry { cancel: CancellationToken::new(), questions: Mutex::default() });
        underway.table().insert(order.attempt, Arc::clone(&entry));
        let leaving = Leaving { underway: Arc::clone(&underway), key: order.attempt };
        let settings = AttemptSettings {
            working_dir: order.plan.facts.working_dir.clone().into(),
            cache_dir: underway.settings.cache_dir.clone(),
            run_dir: underway.settings.run_dir.clone(),
            origins: Origins::default(),
            own_process: false,
            cancel: entry.cancel.clone(),
        };
        let factories = Arc::clone(&underway.factories);
        underway.tasks.spawn(async move {
            let _leaving = leaving;
            let speaker = Speaker {
                voice,
                interactive: order.plan.options.interactive,
                entry,
                next: AtomicU64::new(0),
            };
            let speaker = Arc::new(speaker);
            speaker.voice.running();
            let sink: Arc<dyn EventSink> = Arc::clone(&speaker) as Arc<dyn EventSink>;
            let outcome = attempt::run(Arc::new(order.plan), factories, settings, sink).await;
            speaker.voice.finish(outcome);
        });
    }

    fn stop(&self, attempt: AttemptKey, _why: Stop) {
        if let Some(entry) = self.0.entry(attempt) {
            entry.cancel.cancel();
        }
    }

    fn answer(&self, attempt: AttemptKey, answer: Answer) {
        let Some(entry) = self.0.entry(attempt) else { return };
        let waiting = entry.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.question);
        if let Some(waiting) = waiting {
            // Whoever asked may have been cancelled meanwhile.
            let _ = waiting.send(answer.text);
        }
    }
}

#[async_trait]
impl Questions for Hands {
    async fn answer(&self, query: DataQuery, cancel: CancellationToken) -> DataAnswer {
        data_source::answer(&query, &self.0.factories, cancel).await
    }
}

/// An attempt's voice, with an ear for answers.
#[derive(Debug)]
struct Speaker {
    voice: Voice,
    interactive: bool,
    entry: Arc<Entry>,
    next: AtomicU64,
}

#[async_trait]
impl EventSink for Speaker {
    fn send(&self, event: EventKind) {
        self.voice.say(&event);
    }

    fn moved(&self) {
        self.voice.moved();
    }

    async fn ask(&self, text: &str) -> Option<String> {
        if !self.interactive {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.entry.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        self.voice.say(&EventKind::Question { id, text: text.to_owned() });
        tokio::select! {
            answer = receiver => answer.ok(),
            () = self.entry.cancel.cancelled() => None,
        }
    }
}
