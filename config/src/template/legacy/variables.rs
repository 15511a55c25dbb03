//! Variables of legacy templates: declared texts, replaced by var files and `-var`, then rendered until
//! nothing changes, because they may refer to each other and to the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiln_lang::go_template::{Dot, Place, Reason, Renderer, TemplateFacts, World};
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span};

use super::Document;
use crate::json::{self, Json, JsonData, Member};

/// How often all variables are rendered at most.
const PASSES: usize = 100;

/// The final values, and what else text is rendered with.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    /// `user_variables` holds the final values.
    pub(crate) facts: Arc<TemplateFacts>,
}

/// Reads the root key `variables`.
pub(super) fn read_declared(
    value: &Json,
    found: &mut Diagnostics,
) -> BTreeMap<String, (Option<String>, Span)> {
    let JsonData::Object(members) = &value.data else {
        found.push(super::wrong_type("'variables'", "object", value));
        return BTreeMap::new();
    };
    let read = |member: &Member| {
        let default = match &member.value.data {
            JsonData::Null => None,
            JsonData::String(text) => Some(text.clone()),
            _ => {
                let what = format!("variable '{}'", member.key);
                found.push(super::wrong_type(&what, "string", &member.value));
                None
            }
        };
        (member.key.clone(), (default, member.key_span.clone()))
    };
    members.iter().map(read).collect()
}

/// Reads a var file: an object of texts.
///
/// # Errors
/// When it is anything else.
pub(crate) fn read_var_file(file: &SourceFile) -> Result<BTreeMap<String, String>, Diagnostics> {
    let root = json::read(file)?;
    let JsonData::Object(members) = &root.data else {
        return Err(super::wrong_type(&format!("var file {}", file.name()), "object", &root).into());
    };
    let mut found = Diagnostics::new();
    let mut values = BTreeMap::new();
    for member in members {
        match &member.value.data {
            JsonData::String(text) => {
                values.insert(member.key.clone(), text.clone());
            }
            // As a Go decoder reads null into text.
            JsonData::Null => {
                values.insert(member.key.clone(), String::new());
            }
            _ => {
                let what = format!("variable '{}'", member.key);
                found.push(super::wrong_type(&what, "string", &member.value));
            }
        }
    }
    if found.has_errors() { Err(found) } else { Ok(values) }
}

impl Variables {
    /// Renders the variables of a template, with the values that a user gave. `facts` is what text may ask
    /// besides variables.
    ///
    /// # Errors
    /// Variables that must be set and aren't, and those that can't be rendered.
    pub(crate) fn resolve(
        document: &Document,
        given: &BTreeMap<String, String>,
        facts: TemplateFacts,
        world: &Arc<dyn World>,
    ) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::new();
        let mut waiting: BTreeMap<&str, String> =
            given.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        for (name, (default, span)) in &document.variables {
            match default {
                _ if waiting.contains_key(name.as_str()) => {}
                Some(text) => {
                    waiting.insert(name, text.clone());
                }
                None => found.push(required(name, span)),
            }
        }
        if found.has_errors() {
            return Err(found);
        }
        let sensitive = document.sensitive_variables.iter();
        let declared = |name: &&String| document.variables.contains_key(*name);
        let sensitive_variables: BTreeSet<String> = sensitive.filter(declared).cloned().collect();
        let facts = TemplateFacts { user_variables: Some(BTreeMap::new()), sensitive_variables, ..facts };
        let facts = render_all(waiting, facts, world, document)?;
        Ok(Self { facts })
    }

    /// The final values.
    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.facts.user_variables.as_ref().unwrap_or(&NONE)
    }

    /// The final values that must never be shown.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &String> {
        self.facts.sensitive_variables.iter().filter_map(|name| self.values().get(name))
    }
}

fn required(name: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("Required variable not set", format!("required variable not set: {name}"))
        .at(span.clone())
        .hint(format!("set it with -var '{name}=…' or in a var file"))
}

fn render_all(
    mut waiting: BTreeMap<&str, String>,
    facts: TemplateFacts,
    world: &Arc<dyn World>,
    document: &Document,
) -> Result<Arc<TemplateFacts>, Diagnostics> {
    let mut facts = Arc::new(facts);
    let mut failure = None;
    for _ in 0..PASSES {
        let mut changed = false;
        let mut next = BTreeMap::new();
        for (name, text) in std::mem::take(&mut waiting) {
            let renderer = Renderer::new(facts.clone(), world.clone(), Place::Variables).with_dot(Dot::Later);
            match renderer.render(&text) {
                Ok(rendered) if rendered.text == text => {
                    drop(renderer);
                    let values = &mut Arc::make_mut(&mut facts).user_variables;
                    values.get_or_insert_default().insert(name.to_owned(), text);
                    changed = true;
                }
                Ok(rendered) => {
                    next.insert(name, rendered.text);
                    changed = true;
                }
                Err(error) => {
                    let retry = matches!(error.reason, Reason::VariableNotSet(_));
                    failure = Some((name, error.to_string()));
                    if !retry {
                        return Err(not_rendered(failure, document).into());
                    }
                    next.insert(name, text);
                }
            }
        }
        waiting = next;
        if waiting.is_empty() {
            return Ok(facts);
        }
        if !changed {
            break;
        }
    }
    let culprit = failure.or_else(|| {
        waiting.keys().next().map(|name| (*name, format!("it still changes after {PASSES} renderings")))
    });
    Err(not_rendered(culprit, document).into())
}

fn not_rendered(culprit: Option<(&str, String)>, document: &Document) -> Diagnostic {
    let (name, reason) = culprit.unwrap_or(("", String::new()));
    let detail = format!("failed to interpolate user variable '{name}': {reason}");
    let span = document.variables.get(name).map(|(_, span)| span.clone());
    Diagnostic::error("Failed to interpolate variables", detail).at(span)
}

/// A builder's name, rendered with variables until it no longer changes.
///
/// # Errors
/// When it can't be rendered.
pub(crate) fn interpolate_name(
    name: &str,
    variables: &Variables,
    world: &Arc<dyn World>,
) -> Result<String, String> {
    let renderer = Renderer::new(variables.facts.clone(), world.clone(), Place::Component);
    let mut name = name.to_owned();
    for _ in 0..PASSES {
        let rendered = renderer.render(&name).map_err(|error| error.to_string())?.text;
        if rendered == name {
            break;
        }
        name = rendered;
    }
    Ok(name)
}
