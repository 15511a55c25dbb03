//! The voice of a task: words, steps, bars and questions, redacted before they leave.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_plan::event::ProgressUnit;
use kiln_plan::{EventKind, Redactor};
use tokio::time::Instant;

/// Where events go. Must not block: a slow reader costs it progress events, never words.
#[async_trait]
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Takes one event; numbering and time are the sink's.
    fn send(&self, event: EventKind);

    /// The task got somewhere, though there is nothing to say.
    fn moved(&self) {}

    /// Asks a person, and waits for the answer. `None` when there is nobody to ask or the task is cancelled.
    async fn ask(&self, text: &str) -> Option<String>;
}

/// Speaks for a task or one of its post-processors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    sink: Arc<dyn EventSink>,
    redactor: Arc<Redactor>,
    speaker: Option<String>,
}

impl Reporter {
    /// A voice into `sink` that hides what `redactor` knows.
    pub fn new(sink: Arc<dyn EventSink>, redactor: Arc<Redactor>) -> Self {
        Self { sink, redactor, speaker: None }
    }

    /// The same voice under the name of a post-processor.
    #[must_use]
    pub fn speaking_as(&self, speaker: &str) -> Self {
        Self { speaker: Some(speaker.to_owned()), ..self.clone() }
    }

    /// The same voice, hiding these as well: secrets that came up during the run (a generated password).
    #[must_use]
    pub fn hiding<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = (*self.redactor).clone();
        redactor.learn(secrets);
        Self { redactor: Arc::new(redactor), ..self.clone() }
    }

    /// Words for people.
    pub fn say(&self, text: impl AsRef<str>) {
        let text = self.redactor.redact(text.as_ref()).into_owned();
        self.sink.send(EventKind::Say { speaker: self.speaker.clone(), text });
    }

    /// Words about something wrong.
    pub fn error(&self, text: impl AsRef<str>) {
        let text = self.redactor.redact(text.as_ref()).into_owned();
        self.sink.send(EventKind::Error { speaker: self.speaker.clone(), text });
    }

    /// A step, a bar or an end, as it is.
    pub fn event(&self, event: EventKind) {
        self.sink.send(event);
    }

    /// Does something as a step, which begins and ends with it.
    pub async fn step<T>(&self, step: String, work: impl Future<Output = T>) -> T {
        self.event(EventKind::StepStarted { step: step.clone() });
        let begun = Instant::now();
        let result = work.await;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.event(EventKind::StepFinished { step, took_ms });
        result
    }

    /// How far something has come.
    pub fn progress(&self, label: &str, done: u64, total: Option<u64>, unit: ProgressUnit) {
        self.sink.send(EventKind::Progress { label: label.to_owned(), done, total, unit });
    }

    /// The task got somewhere, though there is nothing to say.
    pub fn moved(&self) {
        self.sink.moved();
    }

    /// Asks a person; `None` when there is nobody to ask.
    pub async fn ask(&self, text: &str) -> Option<String> {
        self.sink.ask(&self.redactor.redact(text)).await
    }

    /// Text with all secrets hidden, for what is written to files.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }
}
