//! Bodies of components: syntax to a tree of values. In provisioners and post-processors whatever refers to
//! `build` waits for the run.

use std::sync::Arc;

use kiln_lang::deferred::{self, Deferred, Reduced};
use kiln_lang::evaluate::evaluate;
use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Body, Reference};
use kiln_lang::{Diagnostic, Diagnostics, Type, Value, function};
use kiln_plan::build::USUAL_VALUES;
use kiln_plan::{BodyItem, ComponentSchema, ConfigBody, Leaf};

use crate::template::hcl2::dynamic::expand;

/// The name that stands for the running build.
const RUN_TIME_ROOT: &str = "build";

/// How to read a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// Arguments that belong to the core and are left out.
    pub(super) skip: &'a [&'a str],
    /// What `build` may stand for; `None` where it doesn't exist.
    pub(super) run_time: Option<RunTime<'a>>,
}

/// The values that exist only at run time.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunTime<'a> {
    /// Any: the builder isn't known.
    Anything,
    /// The usual ones and those that this builder offers.
    Of(&'a ComponentSchema),
}

impl RunTime<'_> {
    fn offers(self, name: &str) -> bool {
        match self {
            RunTime::Anything => true,
            RunTime::Of(schema) => {
                name == "name" || USUAL_VALUES.contains(&name) || schema.generated.iter().any(|g| g == name)
            }
        }
    }

    fn names(self) -> Vec<String> {
        let own: Vec<String> = match self {
            RunTime::Anything => Vec::new(),
            RunTime::Of(schema) => schema.generated.iter().map(ToString::to_string).collect(),
        };
        ["name"].iter().chain(&USUAL_VALUES).map(ToString::to_string).chain(own).collect()
    }
}

/// With so many errors nothing is read further: repeated blocks find the same one again and again.
const MOST_ERRORS: usize = 500;

/// Whether there are so many errors that more would help nobody.
pub(super) fn are_enough(found: &Diagnostics) -> bool {
    found.len() >= MOST_ERRORS && found.errors() >= MOST_ERRORS
}

/// The most text that one component's config may hold, in bytes: it goes to an agent in one message.
const LARGEST_CONFIG: usize = 16 << 20;

/// Refuses a config that holds too much text, of which values share what they repeat and plans don't.
pub(super) fn check_size(body: &ConfigBody) -> Option<Diagnostic> {
    let bytes = text_size(body);
    let item = body.items.first().filter(|_| bytes > LARGEST_CONFIG)?;
    let detail = format!(
        "The config holds {} MiB of text, at most {} are possible. Put large files beside the template and let a \
         component read them.",
        bytes >> 20,
        LARGEST_CONFIG >> 20
    );
    Some(Diagnostic::error("Configuration too large", detail).at(item.span().cloned()))
}

fn text_size(body: &ConfigBody) -> usize {
    let item = |item: &BodyItem| match item {
        BodyItem::Attribute { leaf: Leaf::Value(value), .. } => value_size(value),
        BodyItem::Attribute { .. } => 0,
        BodyItem::Block { body, .. } => text_size(body),
    };
    body.items.iter().map(item).fold(0, usize::saturating_add)
}

fn value_size(value: &Value) -> usize {
    let own = value.as_str().map_or(0, str::len);
    value.children().map(value_size).fold(own, usize::saturating_add)
}

/// Reads a body and everything in it.
pub(super) fn read(body: &Body, scope: &Scope, reading: Reading<'_>, found: &mut Diagnostics) -> ConfigBody {
    let mut items: Vec<(usize, BodyItem)> = Vec::with_capacity(body.attributes.len() + body.blocks.len());
    for attribute in body.attributes.iter().filter(|a| !reading.skip.contains(&a.name.as_str())) {
        if are_enough(found) {
            break;
        }
        match leaf(attribute, scope, reading) {
            Ok(leaf) => items.push((
                attribute.span.start,
                BodyItem::Attribute {
                    name: attribute.name.clone(),
                    leaf,
                    span: Some(attribute.span.clone()),
                },
            )),
            Err(complaints) => found.extend(complaints),
        }
    }
    for nested in expand(body, scope, found) {
        if are_enough(found) {
            break;
        }
        let inside = read(nested.body, &nested.scope, Reading { skip: &[], ..reading }, found);
        items.push((
            nested.header.start,
            BodyItem::Block { name: nested.kind.to_owned(), body: inside, span: Some(nested.header.clone()) },
        ));
    }
    items.sort_by_key(|(start, _)| *start);
    ConfigBody { items: items.into_iter().map(|(_, item)| item).collect() }
}

fn leaf(attribute: &Attribute, scope: &Scope, reading: Reading<'_>) -> Result<Leaf, Diagnostics> {
    let expression = &attribute.expression;
    let Some(run_time) = reading.run_time else { return evaluate(expression, scope).map(Leaf::Value) };
    let references = expression.references();
    let about_run = || references.iter().filter(|r| r.root == RUN_TIME_ROOT);
    if let Some(unknown) = about_run().find(|r| !is_offered(r, run_time)) {
        return Err(unsupported(unknown, run_time).into());
    }
    // `build.name` is known already, unless it is asked for through the whole object.
    let names: Vec<String> = about_run()
        .filter_map(|r| match r.step(0) {
            Some("name") => None,
            Some(name) => Some(format!("{RUN_TIME_ROOT}.{name}")),
            None => Some(RUN_TIME_ROOT.to_owned()),
        })
        .collect();
    if names.is_empty() {
        return evaluate(expression, scope).map(Leaf::Value);
    }
    let scope = match about_run().all(|r| r.step(0).is_some()) {
        true => with_stand_ins(scope, about_run().filter_map(|r| r.step(0))),
        false => scope.clone().with(RUN_TIME_ROOT, Value::unknown(Type::Any)),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(match deferred::reduce(expression, &scope, &names)? {
        Reduced::Value(value) => Leaf::Value(value),
        Reduced::Deferred(deferred) => {
            check_on_agent(&deferred, &scope)?;
            Leaf::Deferred(Arc::new(deferred))
        }
    })
}

/// What is left must do with what an agent has: pure functions and `build`.
fn check_on_agent(deferred: &Deferred, scope: &Scope) -> Result<(), Diagnostics> {
    let run = scope.get(RUN_TIME_ROOT).cloned().unwrap_or_else(|| Value::unknown(Type::Any));
    let agent = Scope::new(&function::carried()).with(RUN_TIME_ROOT, run);
    let Err(complaints) = deferred.finish(&agent) else { return Ok(()) };
    let hint = "what depends on build.* is evaluated beside the guest, where only functions of their arguments \
                alone can be called: take files, times and secrets from a local";
    Err(complaints.into_iter().map(|d| d.hint(hint)).collect())
}

/// The scope in which `build` has these attributes too, with values yet to come.
fn with_stand_ins<'n>(scope: &Scope, names: impl Iterator<Item = &'n str>) -> Scope {
    let known = scope.get(RUN_TIME_ROOT).and_then(Value::as_entries).cloned().unwrap_or_default();
    let stand_ins = names.map(|name| (name.to_owned(), Value::unknown(Type::Any)));
    // What is known stands last and wins.
    let attributes: Vec<_> = stand_ins.chain(known).collect();
    scope.clone().with(RUN_TIME_ROOT, Value::object(attributes))
}

fn is_offered(reference: &Reference, run_time: RunTime<'_>) -> bool {
    reference.step(0).is_none_or(|name| run_time.offers(name))
}

fn unsupported(reference: &Reference, run_time: RunTime<'_>) -> Diagnostic {
    let name = reference.step(0).unwrap_or_default();
    let known = run_time.names();
    let detail = format!("This object does not have an attribute named {name:?}.");
    let diagnostic = Diagnostic::error("Unsupported attribute", detail).at(reference.span.clone());
    match kiln_lang::diagnostic::nearest(name, known.iter().map(String::as_str)) {
        Some(similar) => diagnostic.hint(format!("did you mean build.{similar}?")),
        None => diagnostic.hint(format!("build has: {}", known.join(", "))),
    }
}
