//! A voice for tests, which remembers what was said.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kiln_component::Reporter;
use kiln_component::reporter::EventSink;
use kiln_plan::{EventKind, Redactor};

/// Keeps every event.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<EventKind>>);

impl Heard {
    /// What was said so far, words only, one line each.
    pub(crate) fn words(&self) -> Vec<String> {
        let events = self.0.lock().expect("no test panics while speaking");
        let words = events.iter().filter_map(|event| match event {
            EventKind::Say { text, .. } | EventKind::Error { text, .. } => Some(text.clone()),
            _ => None,
        });
        words.collect()
    }
}

#[async_trait]
impl EventSink for Heard {
    fn send(&self, event: EventKind) {
        self.0.lock().expect("no test panics while speaking").push(event);
    }

    async fn ask(&self, _: &str) -> Option<String> {
        None
    }
}

/// A voice into the void.
pub(crate) fn reporter() -> Reporter {
    listened_to().0
}

/// A voice, and what it says.
pub(crate) fn listened_to() -> (Reporter, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (Reporter::new(heard.clone(), Arc::new(Redactor::default())), heard)
}
