//! Legacy JSON templates: text to a document of raw components.
//!
//! Reading finds what is wrong with the form alone; references between parts are checked by
//! [`Document::validate`], as Packer does it when a template is used rather than only parsed. Strings of
//! components stay raw: the agent renders them.

mod component;
mod variables;

use std::collections::BTreeMap;

use kiln_lang::diagnostic::nearest;
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span};

use crate::json::{self, Json, JsonData, Member};

pub(crate) use component::{Builder, PostProcessor, Provisioner};
pub(crate) use variables::{Variables, interpolate_name, read_var_file};

/// What a template's text says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// The texts of root keys that begin with `_`.
    pub(crate) comments: Vec<String>,
    pub(crate) description: String,
    pub(crate) min_version: Option<(String, Span)>,
    /// Defaults; `None` for a variable that must be set.
    pub(crate) variables: BTreeMap<String, (Option<String>, Span)>,
    pub(crate) sensitive_variables: Vec<String>,
    pub(crate) builders: Vec<Builder>,
    pub(crate) provisioners: Vec<Provisioner>,
    pub(crate) post_processors: Vec<Vec<PostProcessor>>,
    pub(crate) error_cleanup: Option<Provisioner>,
}

/// Reads a template.
pub(crate) fn read(file: &SourceFile) -> (Option<Document>, Diagnostics) {
    let (root, mut found) = json::read_all(file);
    let Some(root) = root else { return (None, found) };
    let mut document = Document::default();
    match &root.data {
        JsonData::Object(members) => {
            for member in members {
                read_member(&mut document, member, &mut found);
            }
        }
        _ => found.push(wrong_type("the template", "object", &root)),
    }
    let document = if found.has_errors() { None } else { Some(document) };
    (document, found)
}

fn read_member(document: &mut Document, member: &Member, found: &mut Diagnostics) {
    let value = &member.value;
    match member.key.to_lowercase().as_str() {
        "min_packer_version" => {
            document.min_version = text(member, found).map(|text| (text, value.span.clone()));
        }
        "description" => document.description = text(member, found).unwrap_or_default(),
        "variables" => document.variables = variables::read_declared(value, found),
        "sensitive-variables" => document.sensitive_variables = texts(member, found),
        "builders" => document.builders = component::read_builders(value, found),
        "provisioners" => document.provisioners = component::read_provisioners(value, found),
        "post-processors" => document.post_processors = component::read_post_processors(value, found),
        "error-cleanup-provisioner" => {
            document.error_cleanup = component::read_provisioner(value, "error-cleanup-provisioner", found);
        }
        "push" => {
            if !matches!(value.data, JsonData::Object(_) | JsonData::Null) {
                found.push(wrong_type("'push'", "object", value));
            }
        }
        "comments" => check_comments(value, found),
        key if key.starts_with('_') => document.comments.extend(text(member, found)),
        _ => found.push(unknown_key(member)),
    }
}

/// The keys that a template may have.
const ROOT_KEYS: [&str; 10] = [
    "min_packer_version",
    "description",
    "variables",
    "sensitive-variables",
    "builders",
    "provisioners",
    "post-processors",
    "error-cleanup-provisioner",
    "push",
    "comments",
];

fn unknown_key(member: &Member) -> Diagnostic {
    let detail = format!("Unknown root level key in template: '{}'", member.key);
    let unknown = Diagnostic::error("Unknown root level key", detail).at(member.key_span.clone());
    match nearest(&member.key, ROOT_KEYS) {
        Some(similar) => unknown.hint(format!("did you mean {similar:?}?")),
        None => unknown.hint("a key that begins with _ is a comment"),
    }
}

/// `comments` is a list of objects of texts, of which nothing becomes.
fn check_comments(value: &Json, found: &mut Diagnostics) {
    let items = match &value.data {
        JsonData::Array(items) => items.as_slice(),
        JsonData::Null => &[],
        _ => return found.push(wrong_type("'comments'", "array", value)),
    };
    for item in items {
        match &item.data {
            JsonData::Object(members) => {
                let strange = members.iter().filter(|m| m.value.as_str().is_none());
                found.extend(strange.map(|m| wrong_type("a comment", "string", &m.value)));
            }
            _ => found.push(wrong_type("a comment", "object", item)),
        }
    }
}

impl Document {
    /// What can be told without values: whether there is a builder, and whether every name that a provisioner
    /// or post-processor restricts itself to exists.
    pub(crate) fn validate(&self) -> Diagnostics {
        let mut found = Diagnostics::new();
        if self.builders.is_empty() {
            found.push(Diagnostic::error("Invalid template", "at least one builder must be defined"));
        }
        for (i, provisioner) in self.provisioners.iter().enumerate() {
            let place = format!("provisioner {}", i + 1);
            self.validate_restriction(&place, &provisioner.restriction, &mut found);
            for over in &provisioner.overrides {
                if !self.has_builder(&over.builder) {
                    let detail = format!("{place}: override '{}' doesn't exist", over.builder);
                    let missing = Diagnostic::error("Invalid template", detail).at(over.span.clone());
                    found.push(self.with_builders(missing, &over.builder));
                }
            }
        }
        for (i, sequence) in self.post_processors.iter().enumerate() {
            for (j, post_processor) in sequence.iter().enumerate() {
                let place = format!("post-processor {}.{}", i + 1, j + 1);
                self.validate_restriction(&place, &post_processor.restriction, &mut found);
            }
        }
        found
    }

    /// The complaint, with the builder that was perhaps meant, or all.
    fn with_builders(&self, complaint: Diagnostic, name: &str) -> Diagnostic {
        let names = || self.builders.iter().map(|b| b.name.as_str());
        match nearest(name, names()) {
            Some(similar) => complaint.hint(format!("did you mean {similar:?}?")),
            None => complaint.hint(format!("builders: {}", names().collect::<Vec<_>>().join(", "))),
        }
    }

    fn has_builder(&self, raw_name: &str) -> bool {
        self.builders.iter().any(|b| b.name == raw_name)
    }

    fn validate_restriction(&self, place: &str, restriction: &Restriction, found: &mut Diagnostics) {
        let invalid =
            |detail: String| Diagnostic::error("Invalid template", detail).at(restriction.span.clone());
        if !restriction.only.is_empty() && !restriction.except.is_empty() {
            found.push(invalid(format!("{place}: only one of 'only' or 'except' may be specified")));
        }
        for (key, names) in [("only", &restriction.only), ("except", &restriction.except)] {
            for name in names.iter().filter(|n| !self.has_builder(n)) {
                let missing = invalid(format!("{place}: '{key}' specified builder '{name}' not found"));
                found.push(self.with_builders(missing, name));
            }
        }
    }
}

/// `only` and `except` of a component: raw names of builders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restriction {
    pub(crate) only: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) span: Option<Span>,
}

impl Restriction {
    /// Whether the component takes part in the build of that builder.
    pub(crate) fn allows(&self, raw_name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|n| n == raw_name);
        if self.only.is_empty() { !named(&self.except) } else { named(&self.only) }
    }
}

fn wrong_type(what: &str, expected: &str, value: &Json) -> Diagnostic {
    let detail = format!("{what}: expected type '{expected}', got {}", value.kind());
    Diagnostic::error("Unexpected type", detail).at(value.span.clone())
}

fn text(member: &Member, found: &mut Diagnostics) -> Option<String> {
    let text = member.value.as_str().map(str::to_owned);
    if text.is_none() {
        found.push(wrong_type(&format!("'{}'", member.key), "string", &member.value));
    }
    text
}

fn texts(member: &Member, found: &mut Diagnostics) -> Vec<String> {
    let JsonData::Array(items) = &member.value.data else {
        found.push(wrong_type(&format!("'{}'", member.key), "array", &member.value));
        return Vec::new();
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item.as_str() {
            Some(text) => texts.push(text.to_owned()),
            None => found.push(wrong_type(&format!("'{}'", member.key), "string", item)),
        }
    }
    texts
}
