//! Clients of secret stores, for the template functions `vault`, `consul_key` and `aws_secretsmanager`: HashiCorp Vault,
//! Consul's key-value store, AWS Secrets Manager, each set up by the environment variables that its own tools know.
//!
//! What a store has sent is kept for as long as [`SecretStores`] lives: templates are evaluated several times, and several
//! fields are taken out of one secret, but each secret is fetched once. Failures are kept too, so that a store that doesn't
//! answer isn't waited for again and again.
//!
//! ```text
//!   SecretQuestion ──► known? ──no──► fetch from vault | consul | aws ──► text of the whole secret, kept
//!                        └──────yes─────────────────────────────────────────┴──► pick the field ──► answer
//! ```

use std::collections::HashMap;

use kiln_plan::{SecretQuestion, Sensitive};
use tokio::sync::Mutex;

mod aws;
mod consul;
mod environment;
mod service;
mod vault;

#[cfg(test)]
mod tests;

pub use environment::Environment;

/// The stores of one environment, and what they have said.
#[derive(Debug)]
pub struct SecretStores {
    environment: Environment,
    /// The lock is held while a store is asked, so that nobody asks the same at the same time.
    known: Mutex<HashMap<Document, Result<Sensitive<String>, SecretError>>>,
}

/// What a store hands out as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Document {
    /// The body of Vault's answer for a path.
    Vault(String),
    /// The value of a key in Consul.
    Consul(String),
    /// The text of a secret of AWS.
    Aws(String),
}

/// Why there is no secret. No variant holds one, nor what gives access to one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A variable that must be set isn't.
    #[error("{variable} isn't set; {hint}")]
    Unset {
        /// Its name.
        variable: &'static str,
        /// What it is for.
        hint: &'static str,
    },
    /// A variable or a file that can't be used.
    #[error("{what} can't be used: {reason}")]
    Setting {
        /// Its name.
        what: String,
        /// Why it can't.
        reason: String,
    },
    /// No answer at all.
    #[error("cannot ask {store} at {place}: {reason}")]
    Unreachable {
        /// What people call it.
        store: &'static str,
        /// Its address, without credentials.
        place: String,
        /// What happened.
        reason: String,
    },
    /// An answer that holds nothing.
    #[error("{store} at {place} refused with status {status}{}", after_colon(reason))]
    Refused {
        /// What people call it.
        store: &'static str,
        /// Its address, without credentials.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The store's own words, if it said any.
        reason: String,
    },
    /// The store has no such secret, or the secret no such field, or no text.
    #[error("{0}")]
    Missing(String),
}

fn after_colon(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl SecretStores {
    /// The stores that these variables tell of. Nothing is asked yet.
    pub fn new(environment: Environment) -> Self {
        Self { environment, known: Mutex::default() }
    }

    /// The answer to a question. A request may take 10 s to connect and 30 s in all; an answer may have 1 MiB.
    ///
    /// # Errors
    /// [`SecretError`] when the environment doesn't tell how to ask, or the store has no answer.
    pub async fn answer(&self, question: &SecretQuestion) -> Result<Sensitive<String>, SecretError> {
        match question {
            SecretQuestion::Vault { path, key } => {
                let body = self.document(Document::Vault(path.clone())).await?;
                vault::field(body.reveal(), path, key)
            }
            SecretQuestion::Consul { key } => self.document(Document::Consul(key.clone())).await,
            SecretQuestion::Aws { name, key } => {
                let text = self.document(Document::Aws(name.clone())).await?;
                aws::field(text.reveal(), name, key.as_deref())
            }
            SecretQuestion::AwsRaw { name } => self.document(Document::Aws(name.clone())).await,
        }
    }

    async fn document(&self, document: Document) -> Result<Sensitive<String>, SecretError> {
        let mut known = self.known.lock().await;
        if let Some(outcome) = known.get(&document) {
            return outcome.clone();
        }
        // Fails only when a provider is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outcome = match &document {
            Document::Vault(path) => vault::fetch(&self.environment, path).await,
            Document::Consul(key) => consul::fetch(&self.environment, key).await,
            Document::Aws(name) => aws::fetch(&self.environment, name).await,
        };
        known.insert(document, outcome.clone());
        outcome
    }
}
