//! Questions that only components can answer. Evaluation returns them; whoever has an agent asks, and
//! evaluates again with the answers pinned, so that every task of a build sees the same values.

use std::collections::BTreeMap;

use kiln_lang::Value;
use kiln_plan::ComponentConfig;
use kiln_plan::build::TemplateContext;
use serde::{Deserialize, Serialize};

/// One question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataQuery {
    /// `type.name`: what the answer is filed under.
    pub id: String,
    /// The data source and its config.
    pub component: ComponentConfig,
    /// What the config's strings may ask for.
    pub facts: TemplateContext,
}

/// The answers so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// By [`DataQuery::id`]: an object of everything the data source yields.
    pub values: BTreeMap<String, Value>,
    /// Whether an unknown value will do where an answer is missing: `validate` without
    /// `-evaluate-datasources`.
    pub placeholders: bool,
}

impl Answers {
    /// No answers; questions will be asked.
    pub fn none() -> Self {
        Self::default()
    }

    /// No answers, and none wanted.
    pub fn placeholders() -> Self {
        Self { values: BTreeMap::new(), placeholders: true }
    }

    /// The answer to a question, or what stands for it.
    pub(crate) fn get(&self, id: &str) -> Option<Value> {
        let placeholder = || self.placeholders.then(|| Value::unknown(kiln_lang::Type::Any));
        self.values.get(id).cloned().or_else(placeholder)
    }
}
