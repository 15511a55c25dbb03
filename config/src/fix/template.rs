//! A template as rewrites see it: lists of components, each an object of options.

use kiln_lang::{Diagnostic, Diagnostics};
use serde_json::{Map, Value};

use crate::json::{Json, JsonData};

/// The options of one component.
pub(super) type Options = Map<String, Value>;

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    root: Options,
}

/// What becomes of a value that stands under the new name of an option already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newer {
    /// It stays, and the old value goes.
    Stays,
    /// The old value takes its place.
    GivesWay,
}

impl Template {
    /// Reads the form.
    ///
    /// # Errors
    /// Each list of components that is none, and each component that is no object.
    pub(super) fn new(root: &Json) -> Result<Self, Diagnostics> {
        let JsonData::Object(members) = &root.data else {
            return Err(wrong("the template", "object", root).into());
        };
        let mut found = Diagnostics::new();
        let named = |key: &str, name: &str| key.eq_ignore_ascii_case(name);
        for member in members {
            let lists = ["builders", "provisioners", "post-processors"];
            let Some(list) = lists.into_iter().find(|name| named(&member.key, name)) else { continue };
            match &member.value.data {
                JsonData::Array(items) if list == "builders" => {
                    let strange = items.iter().filter(|i| !matches!(i.data, JsonData::Object(_)));
                    found.extend(strange.map(|item| wrong("a builder", "object", item)));
                }
                JsonData::Array(_) | JsonData::Null => {}
                _ => found.push(wrong(&format!("'{list}'"), "array", &member.value)),
            }
        }
        match root.to_serde() {
            Value::Object(root) if !found.has_errors() => Ok(Self { root }),
            _ => Err(found),
        }
    }

    /// A template with one component.
    pub(super) fn of_one(list: &str, component: Value) -> Self {
        Self { root: Options::from_iter([(list.to_owned(), Value::Array(vec![component]))]) }
    }

    /// Whether a component of that list has an option of that name.
    pub(super) fn mentions(&self, list: &str, option: &str) -> bool {
        let items = self.root.get(list).and_then(Value::as_array);
        items.is_some_and(|items| items.iter().any(|item| item.get(option).is_some()))
    }

    /// The whole.
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.root)
    }

    fn lists(&mut self, name: &str) -> impl Iterator<Item = &mut Value> {
        let lists = self.root.iter_mut().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        lists.flat_map(|(_, value)| value.as_array_mut().into_iter().flatten())
    }

    /// Every builder.
    pub(super) fn builders(&mut self) -> impl Iterator<Item = &mut Options> {
        self.lists("builders").filter_map(Value::as_object_mut)
    }

    /// Every builder whose type fits.
    pub(super) fn builders_of(&mut self, fits: impl Fn(&str) -> bool) -> impl Iterator<Item = &mut Options> {
        self.builders().filter(move |options| fits(kind(options)))
    }

    /// Every provisioner, and the one that runs after errors.
    pub(super) fn provisioners(&mut self) -> impl Iterator<Item = &mut Options> {
        const NAMES: [&str; 2] = ["provisioners", "error-cleanup-provisioner"];
        let named = |(key, _): &(&String, &mut Value)| NAMES.iter().any(|n| key.eq_ignore_ascii_case(n));
        let parts = self.root.iter_mut().filter(named);
        parts.flat_map(|(_, value)| one_or_more(value)).filter_map(Value::as_object_mut)
    }

    /// Every post-processor with options, those of sequences too.
    pub(super) fn post_processors(&mut self) -> impl Iterator<Item = &mut Options> {
        self.lists("post-processors").flat_map(one_or_more).filter_map(Value::as_object_mut)
    }

    /// Every post-processor with options whose type fits.
    pub(super) fn post_processors_of(
        &mut self,
        fits: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &mut Options> {
        self.post_processors().filter(move |options| fits(kind(options)))
    }
}

fn one_or_more(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        one => Box::new(std::iter::once(one)),
    }
}

fn wrong(what: &str, expected: &str, value: &Json) -> Diagnostic {
    let detail = format!("{what}: expected type '{expected}', got {}", value.kind());
    Diagnostic::error("Unexpected type", detail).at(value.span.clone())
}

/// The type of a component; empty when it has none.
pub(super) fn kind(options: &Options) -> &str {
    options.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Gives an option its new name.
pub(super) fn rename(options: &mut Options, old: &str, new: &str, newer: Newer) {
    let Some(value) = options.remove(old) else { return };
    if newer == Newer::GivesWay || !options.contains_key(new) {
        options.insert(new.to_owned(), value);
    }
}

/// A bool, or a text that Go reads as one.
pub(super) fn weak_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Changes every text inside a value, however deep; keys stay.
pub(super) fn change_texts(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| change_texts(item, change)),
        Value::Object(entries) => entries.values_mut().for_each(|item| change_texts(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
