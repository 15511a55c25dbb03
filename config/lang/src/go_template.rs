//! The Go-template dialect that Packer's strings may carry (`{{ .HTTPIP }}`, `` {{ user `x` }} ``), and the one
//! door to the crate that runs it.
//!
//! A [`Renderer`] is made for one place of a template: it knows the facts of the build, the data that the dot
//! stands for, and which questions may be asked there. What that crate lacks is added here: blocks that are
//! never closed, and functions that don't exist, are errors before anything runs, as in Go.
//!
//! ```text
//!   text ──► no "{{": as it is
//!     │
//!     ├─► actions (their spans, open blocks) ──► `Dot::Later`: `{{ .X }}` made to stand for itself
//!     └─► syntax tree: which functions, which data ──► run with just those ──► text and its mark
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::function::time::Moment;
use crate::value::{Data, Value};

mod action;
mod bounded;
mod data;
mod function;
mod outline;
mod render;
mod tree;

pub use outline::{Action, Mention, Piece, Term, outline};
pub use render::Rendered;

/// The names of all functions that a text may call, but for a component's own.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    function::PACKER.into_iter().chain(function::BUILT_IN)
}

/// What is known about a build while its strings are rendered; travels with the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateFacts {
    /// When the process that plans the build began: `timestamp`, `isotime`, `strftime`.
    pub start: Moment,
    /// The variables of a JSON template, for `user`; `None` for HCL2 templates, which have none.
    pub user_variables: Option<BTreeMap<String, String>>,
    /// Those among them whose values are secrets.
    pub sensitive_variables: BTreeSet<String>,
    /// For `build_name`; `None` where there is no build yet.
    pub build_name: Option<String>,
    /// For `build_type`: the type of the builder.
    pub build_type: Option<String>,
    /// For `template_dir`: absolute; `None` for HCL2 templates.
    pub template_dir: Option<String>,
    /// For `pwd`: absolute.
    pub pwd: String,
    /// For `packer_version`.
    pub packer_version: String,
}

/// A question that only the world outside can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// `env "NAME"`: an environment variable; unset ones are "".
    Env(&'a str),
    /// `vault "path" "key"`
    Vault {
        /// Where the secret lies.
        path: &'a str,
        /// Which of its fields.
        key: &'a str,
    },
    /// `consul_key "key"`
    ConsulKey(&'a str),
    /// `aws_secretsmanager "name" ["key"]`
    AwsSecret {
        /// The secret's name.
        name: &'a str,
        /// Which of its fields; the only one when not given.
        key: Option<&'a str>,
    },
    /// `aws_secretsmanager_raw "name"`
    AwsRawSecret(&'a str),
}

/// What the engine can't know by itself. Asked while rendering, so answers should be quick or cached.
pub trait World: Send + Sync {
    /// A fresh, time-ordered UUID.
    fn uuid(&self) -> String;

    /// The answer to a question; asked only at [`Place::Variables`].
    ///
    /// # Errors
    /// A sentence that tells why there is no answer.
    fn ask(&self, question: Question<'_>) -> Result<String, String>;
}

/// Where in a template a string stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A value of `variables`, of a variable file or of `-var`: may ask the world, and an unset `user` variable is
    /// an error.
    Variables,
    /// Anywhere else: may not ask, and an unset `user` variable is "".
    Component,
}

/// What the dot stands for.
#[derive(Clone, Debug, Default)]
pub enum Dot {
    /// Nothing: `{{ .X }}` reads `<no value>`.
    #[default]
    Nothing,
    /// Data to come at a later rendering: actions about the dot are left as they are.
    Later,
    /// A map or object; a missing key reads `<no value>`.
    Map(Value),
    /// A map or object with a fixed set of names; a missing one is an error.
    Fields(Value),
}

/// A function of a component's own, such as `clean_resource_name`: text in, text out.
pub type TextFunction = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Renders the strings of one place of a template.
#[derive(Clone)]
pub struct Renderer {
    facts: Arc<TemplateFacts>,
    world: Arc<dyn World>,
    place: Place,
    dot: Dot,
    functions: BTreeMap<&'static str, TextFunction>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("place", &self.place).field("dot", &self.dot).finish_non_exhaustive()
    }
}

impl Renderer {
    /// A renderer without data.
    pub fn new(facts: Arc<TemplateFacts>, world: Arc<dyn World>, place: Place) -> Self {
        Self { facts, world, place, dot: Dot::Nothing, functions: BTreeMap::new() }
    }

    /// The same, with the dot standing for `dot`.
    #[must_use]
    pub fn with_dot(self, dot: Dot) -> Self {
        Self { dot, ..self }
    }

    /// The same, with one more function of one text argument, such as a builder's `clean_resource_name`.
    #[must_use]
    pub fn with_function(
        mut self,
        name: &'static str,
        function: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.functions.insert(name, Arc::new(function));
        self
    }

    /// Renders one string once. Text without `{{` comes back as it is.
    ///
    /// # Errors
    /// [`TemplateError`] with the text and, where known, the position at fault.
    pub fn render(&self, text: &str) -> Result<Rendered, TemplateError> {
        render::text(self, text)
    }

    /// Renders every string of a config once, keys of maps too, and keeps all marks. Options for whose name
    /// `except` answers yes are left alone: the component renders those itself.
    ///
    /// # Errors
    /// One [`OptionError`] for each string that can't be rendered.
    pub fn render_tree(
        &self,
        config: &Value,
        except: &dyn Fn(&str) -> bool,
    ) -> Result<Value, Vec<OptionError>> {
        let mut walk = Walk { renderer: self, errors: Vec::new() };
        let rendered = match &config.data {
            Data::Object(entries) | Data::Map(_, entries) => {
                let option = |(name, value): (&String, &Value)| {
                    let kept = except(name);
                    let value = if kept { value.clone() } else { walk.value(name, value) };
                    (name.clone(), value)
                };
                let entries = entries.iter().map(option).collect();
                Value { data: Data::Object(entries), sensitive: config.sensitive }
            }
            _ => walk.value("", config),
        };
        if walk.errors.is_empty() { Ok(rendered) } else { Err(walk.errors) }
    }
}

/// A string of a config that can't be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {path}: {source}")]
pub struct OptionError {
    /// Where the string stands: `disks[0].name`.
    pub path: String,
    /// Why it can't.
    pub source: TemplateError,
}

/// Why a text can't be rendered, with the text itself unless it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{}", at(*position), within(text.as_deref()))]
pub struct TemplateError {
    /// What is wrong.
    pub reason: Reason,
    /// Line and column from 1, for mistakes of syntax.
    pub position: Option<(usize, usize)>,
    /// The text, shortened; `None` when it is a secret.
    pub text: Option<String>,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It isn't a template.
    #[error("{0}")]
    Syntax(String),
    /// `{{ if … }}` and its kin without `{{ end }}`.
    #[error("{{{{ {0} }}}} is never closed; add {{{{ end }}}}")]
    Unclosed(String),
    /// `{{ end }}` or `{{ else }}` without a block around it.
    #[error("{{{{ {0} }}}} stands outside of any block")]
    Stray(String),
    /// No such function.
    #[error("function {name:?} not defined{}", nearest.as_ref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    UndefinedFunction {
        /// As written.
        name: String,
        /// What was perhaps meant.
        nearest: Option<String>,
    },
    /// A `user` variable without value, at [`Place::Variables`]; rendering again may help once it has one.
    #[error("variable not set: {0}")]
    VariableNotSet(String),
    /// The dot has no such name.
    #[error("there is no {{{{ .{name} }}}} here; there are {known}")]
    NoSuchField {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A function failed, or the template did something that can't be done.
    #[error("{0}")]
    Failed(String),
}

fn at(position: Option<(usize, usize)>) -> String {
    position.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default()
}

fn within(text: Option<&str>) -> String {
    text.map(|text| format!(" in {text:?}")).unwrap_or_default()
}

struct Walk<'a> {
    renderer: &'a Renderer,
    errors: Vec<OptionError>,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, value: &Value) -> Value {
        let data = match &value.data {
            Data::String(text) => return self.text(path, text, value.sensitive),
            Data::List(of, items) => Data::List(of.clone(), self.items(path, items)),
            Data::Set(of, items) => crate::convert::set(of.clone(), self.items(path, items)),
            Data::Tuple(items) => Data::Tuple(self.items(path, items)),
            Data::Map(of, entries) => Data::Map(of.clone(), self.entries(path, entries)),
            Data::Object(entries) => Data::Object(self.entries(path, entries)),
            other => other.clone(),
        };
        Value { data, sensitive: value.sensitive }
    }

    fn items(&mut self, path: &str, items: &[Value]) -> Vec<Value> {
        items.iter().enumerate().map(|(i, v)| self.value(&format!("{path}[{i}]"), v)).collect()
    }

    fn entries(&mut self, path: &str, entries: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        let entry = |(key, value): (&String, &Value)| {
            let path = format!("{path}.{key}");
            let rendered = self.text(&path, key, false);
            let key = rendered.as_str().unwrap_or(key).to_owned();
            (key, self.value(&path, value))
        };
        entries.iter().map(entry).collect()
    }

    fn text(&mut self, path: &str, text: &str, sensitive: bool) -> Value {
        match self.renderer.render(text) {
            Ok(rendered) => Value::string(rendered.text).marked(sensitive | rendered.sensitive),
            Err(mut source) => {
                if sensitive {
                    source.text = None;
                }
                self.errors.push(OptionError { path: path.to_owned(), source });
                Value::string(text).marked(sensitive)
            }
        }
    }
}

#[cfg(test)]
mod tests;
