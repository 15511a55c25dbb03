//! Data sources between deciding and doing: the question that an evaluation has, the answer that an agent gives, and
//! what a plan keeps of both, so that it can be told later what an image was made from.

use std::collections::BTreeMap;

use kiln_lang::Value;
use serde::{Deserialize, Serialize};

use crate::build::TemplateContext;
use crate::component::{BodyItem, ComponentConfig, ConfigBody, Leaf};
use crate::fingerprint::Fingerprint;

/// One question to a data source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataQuery {
    /// `type.name`: what the answer is filed under.
    pub id: String,
    /// The data source and its config.
    pub component: ComponentConfig,
    /// What the config's strings may ask for.
    pub facts: TemplateContext,
    /// The locals that the question was made of. They stay what they are once it is answered, even those that
    /// would come out anew each time (`timestamp()`, `uuidv4()`). Only for whoever evaluates; never sent.
    #[serde(skip)]
    pub locals: BTreeMap<String, Value>,
}

/// What comes of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataAnswer {
    /// Everything that the data source yields, as an object; or why it yields nothing, in one sentence.
    pub outcome: Result<Value, String>,
    /// What the data source wants to be known besides, a sentence each.
    #[serde(default)]
    pub notices: Vec<String>,
}

impl DataAnswer {
    /// An answer that says only why there is none.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Err(reason.into()), notices: Vec::new() }
    }
}

/// Where a value of a plan comes from: which question was asked, and what was answered, as digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataOrigin {
    /// `type.name`
    pub id: String,
    /// The digest of the data source's type and config.
    pub asked: Fingerprint,
    /// The digest of the answer.
    pub answered: Fingerprint,
    /// Whether the question or the answer holds something sensitive, which the digests might help to guess.
    #[serde(default)]
    pub secret: bool,
}

impl DataOrigin {
    /// The origin of an answer.
    ///
    /// # Panics
    /// Never: configs and values always serialise.
    pub fn new(query: &DataQuery, answer: &Value) -> Self {
        let asked = serde_json::to_vec(&(&query.component.name, &query.component.body));
        let answered = serde_json::to_vec(answer);
        Self {
            id: query.id.clone(),
            asked: Fingerprint::of_bytes(&asked.expect("a config has only string keys")),
            answered: Fingerprint::of_bytes(&answered.expect("a value has only string keys")),
            secret: !query.secrets().is_empty() || is_sensitive(answer),
        }
    }
}

impl DataQuery {
    /// Every text in the config that is marked sensitive.
    pub fn secrets(&self) -> Vec<&str> {
        let mut found = Vec::new();
        in_body(&self.component.body, &mut found);
        found
    }
}

fn is_sensitive(value: &Value) -> bool {
    value.sensitive || value.children().any(is_sensitive)
}

fn in_body<'q>(body: &'q ConfigBody, found: &mut Vec<&'q str>) {
    for item in &body.items {
        match item {
            BodyItem::Attribute { leaf: Leaf::Value(value), .. } => in_value(value, false, found),
            BodyItem::Attribute { .. } => {}
            BodyItem::Block { body, .. } => in_body(body, found),
        }
    }
}

fn in_value<'q>(value: &'q Value, within: bool, found: &mut Vec<&'q str>) {
    let sensitive = within || value.sensitive;
    if let Some(text) = value.as_str().filter(|_| sensitive) {
        found.push(text);
    }
    value.children().for_each(|child| in_value(child, sensitive, found));
}
