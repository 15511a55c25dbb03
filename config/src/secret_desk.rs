//! Where evaluation asks for secrets of stores, and where it is remembered what must be hidden because of that.
//!
//! ```text
//!   vault(…), {{vault …}} ──► desk ──► host ──► answer, marked as sensitive
//!                              └──► answers so far ──► secrets of the plan that is being made
//! ```

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_plan::SecretQuestion;

use crate::host::SharedHost;

/// Asks one host; clones share what they remember.
#[derive(Clone)]
pub(crate) struct SecretDesk {
    host: SharedHost,
    answers: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Debug for SecretDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretDesk").field("host", &self.host).finish_non_exhaustive()
    }
}

impl SecretDesk {
    /// A desk that remembers nothing yet.
    pub(crate) fn new(host: &SharedHost) -> Self {
        Self { host: host.clone(), answers: Arc::default() }
    }

    /// The answer to a question; `None` from a host that only looks at templates and asks no stores.
    ///
    /// # Errors
    /// A sentence, without any secret, that tells why there is no answer.
    pub(crate) fn ask(&self, question: &SecretQuestion) -> Result<Option<String>, String> {
        let answer = self.host.secret(question).map_err(|error| error.to_string())?;
        let Some(answer) = answer.map(|answer| answer.reveal().clone()) else { return Ok(None) };
        let mut answers = self.answers();
        // What a template takes out of the text of a JSON object is as secret as the whole.
        if matches!(question, SecretQuestion::AwsRaw { .. })
            && let Ok(json) = serde_json::from_str(&answer)
        {
            texts(&json, &mut answers);
        }
        answers.insert(answer.clone());
        Ok(Some(answer))
    }

    /// The answers since the last time, and the texts in them. Empty ones are no secrets.
    pub(crate) fn take(&self) -> BTreeSet<String> {
        let mut taken = std::mem::take(&mut *self.answers());
        taken.remove("");
        taken
    }

    fn answers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn texts(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::String(text) => {
            found.insert(text.clone());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(entries) => entries.values().for_each(|value| texts(value, found)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}
