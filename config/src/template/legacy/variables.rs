//! Variables of legacy templates: declared texts, replaced by var files and `-var`, then rendered until
//! nothing changes, because they may refer to each other and to the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiln_lang::go_template::{Dot, Place, Reason, Renderer, TemplateFacts, World};
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span};

use super::Document;
use crate::json::{self, Json, JsonData, Member};

/// How often variables are rendered at most.
const PASSES: usize = 100;

/// The most text that all variables together may hold, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// What the functions for secret stores begin with.
const STORE_FUNCTIONS: [&str; 3] = ["vault", "consul_key", "aws_secretsmanager"];

/// What a variable's name stands in when another mentions it.
const QUOTES: [char; 2] = ['`', '"'];

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
    /// besides variables. Comes with warnings about variables that stay unset.
    ///
    /// # Errors
    /// Variables that must be set and aren't, and those that can't be rendered.
    pub(crate) fn resolve(
        document: &Document,
        given: &BTreeMap<String, String>,
        facts: TemplateFacts,
        world: &Arc<dyn World>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let mut texts: BTreeMap<&str, &str> = given.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        for (name, (default, span)) in &document.variables {
            match default {
                _ if texts.contains_key(name.as_str()) => {}
                Some(text) => {
                    texts.insert(name, text);
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
        let mut rendering = Rendering {
            facts: Arc::new(facts),
            world,
            document,
            bytes: 0,
            unset: BTreeMap::new(),
            from_stores: BTreeSet::new(),
        };
        let found = rendering.run(texts)?;
        Ok((Self { facts: rendering.facts }, found))
    }

    /// The same as far as it goes, for those who only look: what must be set and isn't is missing, and when something
    /// can't be rendered, all texts stay as they are written.
    pub(crate) fn possible(
        document: &Document,
        given: &BTreeMap<String, String>,
        facts: TemplateFacts,
        world: &Arc<dyn World>,
    ) -> Self {
        let mut document = document.clone();
        document.variables.retain(|name, (default, _)| default.is_some() || given.contains_key(name));
        if let Ok((variables, _)) = Self::resolve(&document, given, facts.clone(), world) {
            return variables;
        }
        let defaults = document.variables.iter();
        let mut texts: BTreeMap<String, String> =
            defaults.filter_map(|(name, (default, _))| Some((name.clone(), default.clone()?))).collect();
        texts.extend(given.clone());
        let sensitive_variables = document.sensitive_variables.iter().cloned().collect();
        Self { facts: Arc::new(TemplateFacts { user_variables: Some(texts), sensitive_variables, ..facts }) }
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

/// Renders texts again and again, because a variable that another one needs may come later.
struct Rendering<'a> {
    /// `user_variables` grows.
    facts: Arc<TemplateFacts>,
    world: &'a Arc<dyn World>,
    document: &'a Document,
    /// How much text the values hold.
    bytes: usize,
    /// What failed in the last pass for want of a variable, and how.
    unset: BTreeMap<String, String>,
    /// Variables that were made from answers of secret stores.
    from_stores: BTreeSet<String>,
}

impl Rendering<'_> {
    fn run(&mut self, mut texts: BTreeMap<&str, &str>) -> Result<Diagnostics, Diagnostics> {
        for _ in 0..PASSES {
            let changed = self.pass(&texts)?;
            texts.retain(|_, text| refers_to_variables(text));
            if !changed {
                break;
            }
        }
        // As in Packer, a variable that can't be rendered fails only if no other that refers to variables can.
        let hopeless = texts.keys().all(|name| self.unset.contains_key(*name));
        let complaints = self.unset.iter().map(|(name, reason)| self.complaint(name, reason));
        let complaints = complaints.map(|d| match hopeless {
            true => d,
            false => Diagnostic { severity: kiln_lang::Severity::Warning, ..d },
        });
        let complaints: Diagnostics = complaints.collect();
        if hopeless && !complaints.is_empty() { Err(complaints) } else { Ok(complaints) }
    }

    /// Renders all texts once; tells whether a value has changed.
    fn pass(&mut self, texts: &BTreeMap<&str, &str>) -> Result<bool, Diagnostics> {
        let mut changed = false;
        let mut found = Diagnostics::new();
        self.unset.clear();
        for (name, text) in texts {
            let facts = self.facts.clone();
            let rendered =
                Renderer::new(facts, self.world.clone(), Place::Variables).with_dot(Dot::Later).render(text);
            match rendered {
                Ok(rendered) => {
                    self.keep_secret(name, text, rendered.sensitive);
                    let values = Arc::make_mut(&mut self.facts).user_variables.get_or_insert_default();
                    let before = values.get(*name).map_or(0, String::len);
                    self.bytes = self.bytes - before + rendered.text.len();
                    if self.bytes > MAX_BYTES {
                        let reason =
                            format!("all variables together are larger than {} MiB", MAX_BYTES >> 20);
                        return Err(self.complaint(name, &reason).into());
                    }
                    if values.get(*name) != Some(&rendered.text) {
                        values.insert((*name).to_owned(), rendered.text);
                        changed = true;
                    }
                }
                Err(error) if matches!(error.reason, Reason::VariableNotSet(_)) => {
                    self.unset.insert((*name).to_owned(), error.to_string());
                }
                Err(error) => found.push(self.complaint(name, &error.to_string())),
            }
        }
        if found.is_empty() { Ok(changed) } else { Err(found) }
    }

    /// Marks a variable that was made from the answer of a secret store, directly or through another variable. What is
    /// made from variables that are declared sensitive isn't marked, as in Packer.
    fn keep_secret(&mut self, name: &str, text: &str, sensitive: bool) {
        let quotes = |name: &String| QUOTES.iter().any(|q| text.contains(&format!("{q}{name}{q}")));
        let from_a_store = sensitive
            && (STORE_FUNCTIONS.iter().any(|function| text.contains(function))
                || self.from_stores.iter().any(quotes));
        if from_a_store && self.from_stores.insert(name.to_owned()) {
            Arc::make_mut(&mut self.facts).sensitive_variables.insert(name.to_owned());
        }
    }

    fn complaint(&self, name: &str, reason: &str) -> Diagnostic {
        let detail = format!("failed to interpolate user variable '{name}': {reason}");
        let span = self.document.variables.get(name).map(|(_, span)| span.clone());
        Diagnostic::error("Failed to interpolate variables", detail).at(span)
    }
}

/// Whether a text may ask for a variable.
fn refers_to_variables(text: &str) -> bool {
    text.contains("{{") && text.contains("user")
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
