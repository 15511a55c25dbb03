//! Variables: constants and those that read the environment stay variables; those computed from others become
//! locals, with a variable of the same name beside them so that they can still be set from outside.

use std::collections::{BTreeMap, BTreeSet};

use kiln_lang::format_value::quoted;
use kiln_lang::go_template::{Piece, Term, outline};
use kiln_lang::value::{Data, Value};
use kiln_plan::{BodyItem, ConfigBody, Leaf};

use super::names;
use super::output::{Block, Expression, Item, Part};
use super::text::{Place, Translator, push};
use crate::template::legacy::Document;

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It must be set.
    Required,
    /// It has a default that HCL2 can have too.
    Plain,
    /// It is computed.
    Computed,
}

/// The variables of a template by the names they had.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables<'a> {
    roles: BTreeMap<&'a str, Role>,
    words: BTreeMap<String, String>,
}

/// The variable that stands for a variable of the environment.
pub(super) fn environment_name(variable: &str) -> String {
    format!("env_{}", names::identifier(variable).trim_start_matches('_'))
}

impl<'a> Variables<'a> {
    /// Decides about every variable that is declared or referred to, and tells the translator what they are
    /// called.
    pub(super) fn of(
        document: &'a Document,
        referred: &BTreeSet<String>,
        translator: &mut Translator<'_>,
    ) -> Self {
        let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
        for (name, (default, span)) in &document.variables {
            let role = default.as_deref().map_or(Role::Required, role);
            let role = match role == Role::Computed && depends_on_itself(name, document) {
                true => {
                    let detail = format!("The variable {name:?} refers to itself; it has to be set now.");
                    translator.warn("Variable without end", detail, Some(span));
                    Role::Required
                }
                false => role,
            };
            roles.insert(name, role);
        }
        let known = roles.keys().copied().chain(referred.iter().map(String::as_str));
        let words = names::variables(known);
        for (name, word) in &words {
            let root = if roles.get(name.as_str()) == Some(&Role::Computed) { "local" } else { "var" };
            translator.variables.insert(name.clone(), format!("{root}.{word}"));
        }
        Self { roles, words }
    }

    /// The `variable` blocks, by name. Computed variables must be translated before, because what they need
    /// of the environment becomes variables too.
    pub(super) fn blocks(&self, document: &Document, translator: &Translator<'_>) -> Vec<Block> {
        let mut blocks = BTreeMap::new();
        for (name, word) in &self.words {
            let sensitive = document.sensitive_variables.contains(name);
            let default = match self.roles.get(name.as_str()) {
                Some(Role::Plain) => {
                    let default = document.variables.get(name).and_then(|(default, _)| default.as_deref());
                    Some(plain_default(default.unwrap_or_default()))
                }
                Some(Role::Computed) => Some(Expression::Code("null".to_owned())),
                Some(Role::Required) | None => None,
            };
            blocks.insert(
                word.clone(),
                declaration(word, default, sensitive && self.roles.contains_key(name.as_str())),
            );
        }
        for variable in &translator.environment {
            let word = environment_name(variable);
            let default = Expression::Code(format!("env({})", quoted(variable)));
            blocks.insert(word.clone(), declaration(&word, Some(default), false));
        }
        blocks.into_values().collect()
    }

    /// The computed variables: the plain ones in one body, each sensitive one in a block of its own.
    pub(super) fn locals(
        &self,
        document: &Document,
        translator: &mut Translator<'_>,
    ) -> (Vec<Item>, Vec<Block>) {
        let (mut plain, mut sensitive) = (Vec::new(), Vec::new());
        let computed = self.roles.iter().filter(|(_, role)| **role == Role::Computed);
        for (name, _) in computed {
            let Some((Some(default), span)) = document.variables.get(*name) else { continue };
            let word = &self.words[*name];
            let value = translator.text(default, Place::Local, Some(span)).code();
            let value = Expression::Code(format!("var.{word} == null ? {value} : var.{word}"));
            if document.sensitive_variables.iter().any(|n| n == name) {
                let body = vec![
                    Item::attribute("expression", value),
                    Item::attribute("sensitive", Expression::Code("true".to_owned())),
                ];
                sensitive.push(Block::labelled("local", &[word], body));
            } else {
                plain.push(Item::attribute(word, value));
            }
        }
        (plain, sensitive)
    }
}

fn declaration(word: &str, default: Option<Expression>, sensitive: bool) -> Block {
    let mut body = vec![Item::attribute("type", Expression::Code("string".to_owned()))];
    body.extend(default.map(|default| Item::attribute("default", default)));
    if sensitive {
        body.push(Item::attribute("sensitive", Expression::Code("true".to_owned())));
    }
    Block::labelled("variable", &[word], body)
}

fn role(default: &str) -> Role {
    let Ok(pieces) = outline(default) else { return Role::Plain };
    let is_plain = |piece: &Piece| match piece {
        Piece::Text(_) => true,
        Piece::Action(action) => {
            environment(action.term.as_ref()).is_some() || matches!(action.term, Some(Term::Field(_)))
        }
    };
    if pieces.iter().all(is_plain) { Role::Plain } else { Role::Computed }
}

/// The environment variable that an action prints, if that is all it does.
fn environment(term: Option<&Term>) -> Option<&str> {
    match term {
        Some(Term::Call { name, arguments }) if name == "env" => match arguments.as_slice() {
            [Term::Text(variable)] => Some(variable),
            _ => None,
        },
        _ => None,
    }
}

/// A default with nothing but text and `env` in it.
fn plain_default(default: &str) -> Expression {
    let Ok(pieces) = outline(default) else { return Expression::text(default) };
    let part = |piece: Piece| match piece {
        Piece::Text(text) => Part::Text(text),
        Piece::Action(action) => match environment(action.term.as_ref()) {
            Some(variable) => Part::Code(format!("env({})", quoted(variable))),
            None => Part::Text(action.text),
        },
    };
    let mut parts: Vec<Part> = Vec::new();
    pieces.into_iter().map(part).for_each(|part| push(&mut parts, part));
    match parts.as_slice() {
        [Part::Code(code)] => Expression::Code(code.clone()),
        _ => Expression::Text(parts),
    }
}

fn depends_on_itself(name: &str, document: &Document) -> bool {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut left = vec![name.to_owned()];
    while let Some(next) = left.pop() {
        let Some((Some(default), _)) = document.variables.get(&next) else { continue };
        for referred in users(default) {
            if referred == name {
                return true;
            }
            if seen.insert(referred.clone()) {
                left.push(referred);
            }
        }
    }
    false
}

/// The variables that a text refers to.
fn users(text: &str) -> Vec<String> {
    if !text.contains("{{") {
        return Vec::new();
    }
    let actions = outline(text).unwrap_or_default().into_iter().filter_map(|piece| match piece {
        Piece::Action(action) => Some(action),
        Piece::Text(_) => None,
    });
    let mentions = actions.flat_map(|action| action.mentions);
    mentions.filter(|m| m.name == "user").filter_map(|m| m.argument).collect()
}

/// Every variable that a template refers to, wherever.
pub(super) fn referred(document: &Document) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (default, _) in document.variables.values() {
        found.extend(default.iter().flat_map(|text| users(text)));
    }
    for builder in &document.builders {
        found.extend(users(&builder.name));
        in_config(&builder.config, &mut found);
    }
    for provisioner in document.provisioners.iter().chain(&document.error_cleanup) {
        found.extend(users(&provisioner.max_retries));
        in_config(&provisioner.config, &mut found);
        provisioner.overrides.iter().for_each(|over| in_config(&over.config, &mut found));
    }
    for post_processor in document.post_processors.iter().flatten() {
        in_config(&post_processor.config, &mut found);
    }
    found
}

fn in_config(config: &ConfigBody, found: &mut BTreeSet<String>) {
    for item in &config.items {
        if let BodyItem::Attribute { leaf: Leaf::Value(value), .. } = item {
            in_value(value, found);
        }
    }
}

fn in_value(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(text) = value.as_str() {
        found.extend(users(text));
    }
    if let Data::Object(entries) | Data::Map(_, entries) = &value.data {
        entries.keys().for_each(|key| found.extend(users(key)));
    }
    value.children().for_each(|child| in_value(child, found));
}
