//! Questions that only components can answer. Evaluation returns them; whoever has an agent asks, and
//! evaluates again with the answers pinned, so that every task of a build sees the same values.

use std::collections::BTreeMap;

use kiln_lang::{Type, Value};
pub use kiln_plan::{DataAnswer, DataOrigin, DataQuery};

/// The answers so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// By [`DataQuery::id`]: an object of everything the data source yields.
    pub values: BTreeMap<String, Value>,
    /// Whether an unknown value will do where an answer is missing: `validate` without
    /// `-evaluate-datasources`.
    pub placeholders: bool,
    /// By id: why there is no answer, and will be none.
    pub failures: BTreeMap<String, String>,
    /// By id: where each answer comes from.
    pub origins: BTreeMap<String, DataOrigin>,
    /// By id: what else is to be told.
    pub notices: BTreeMap<String, Vec<String>>,
    /// The locals that answered questions were made of, by name.
    pub locals: BTreeMap<String, Value>,
}

/// What is known of an answer.
pub(crate) enum Known {
    /// It is this, or an unknown value that stands for it.
    Value(Value),
    /// There is none, for this reason.
    Failed(String),
    /// Nobody has been asked.
    Open,
}

impl Answers {
    /// No answers; questions will be asked.
    pub fn none() -> Self {
        Self::default()
    }

    /// No answers, and none wanted.
    pub fn placeholders() -> Self {
        Self { placeholders: true, ..Self::default() }
    }

    /// Pins the answer to a question.
    pub fn take(&mut self, query: &DataQuery, answer: DataAnswer) {
        let id = query.id.clone();
        match answer.outcome {
            Ok(value) => {
                self.origins.insert(id.clone(), DataOrigin::new(query, &value));
                self.values.insert(id.clone(), value);
            }
            Err(reason) => {
                self.failures.insert(id.clone(), reason);
            }
        }
        if !answer.notices.is_empty() {
            self.notices.insert(id, answer.notices);
        }
        for (name, value) in &query.locals {
            self.locals.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The answer to a question, or what stands for it: an unknown value of type `answer`.
    pub(crate) fn get(&self, id: &str, answer: Option<&Type>) -> Known {
        match (self.values.get(id), self.failures.get(id)) {
            (Some(value), _) => Known::Value(value.clone()),
            (None, Some(reason)) => Known::Failed(reason.clone()),
            (None, None) if self.placeholders => {
                Known::Value(Value::unknown(answer.cloned().unwrap_or(Type::Any)))
            }
            (None, None) => Known::Open,
        }
    }
}
