//! A data source: answers a question before the build.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kiln_lang::{Diagnostics, Value};
use kiln_plan::Failure;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::factory;

/// A data source's config with its strings rendered. Everything in it is known: before the build there is nothing to
/// wait for.
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// An object: option name to value; nested blocks are tuples of objects.
    pub options: Value,
}

impl DataConfig {
    /// The options as a component's own type; see [`kiln_lang::decode`].
    ///
    /// # Errors
    /// One diagnostic for each option that does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Diagnostics> {
        factory::decode(&self.options)
    }

    /// Whether an option, or anything in it, is marked sensitive.
    pub fn is_sensitive(&self, option: &str) -> bool {
        let value = self.options.as_entries().and_then(|entries| entries.get(option));
        value.is_some_and(Value::contains_sensitive)
    }
}

/// What a data source works with.
#[derive(Clone, Debug, Default)]
pub struct DataContext {
    /// Fires when nobody waits for the answer any more.
    pub cancel: CancellationToken,
    notices: Arc<Mutex<Vec<String>>>,
}

impl DataContext {
    /// A context in which nothing has been said.
    pub fn new(cancel: CancellationToken) -> Self {
        Self { cancel, notices: Arc::default() }
    }

    /// Says what people should know besides the answer: one sentence.
    pub fn notice(&self, sentence: impl Into<String>) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(sentence.into());
    }

    /// What has been said.
    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers a question.
#[async_trait]
pub trait DataSource: fmt::Debug + Send + Sync {
    /// Everything that it yields, as an object of the type that its schema tells; secrets carry the sensitive
    /// mark. May be asked again when an agent was lost, so it must change nothing. Must return soon after
    /// `cx.cancel` fires.
    ///
    /// # Errors
    /// Why there is no answer.
    async fn read(&self, cx: &DataContext) -> Result<Value, Failure>;
}
