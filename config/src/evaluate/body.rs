//! Bodies of components: syntax to a tree of values. In provisioners and post-processors whatever refers to
//! `build` waits for the run.

use std::sync::Arc;

use kiln_lang::evaluate::evaluate;
use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Body, Reference};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::{BodyItem, ComponentSchema, ConfigBody, Leaf};

use crate::template::hcl2::dynamic::expand;

/// The name that stands for the running build.
const RUN_TIME_ROOT: &str = "build";

/// What every builder offers to later components.
const USUAL: [&str; 14] = [
    "name",
    "ID",
    "Host",
    "Port",
    "User",
    "Password",
    "ConnType",
    "PackerRunUUID",
    "PackerHTTPPort",
    "PackerHTTPIP",
    "PackerHTTPAddr",
    "SSHPublicKey",
    "SSHPrivateKey",
    "WinRMPassword",
];

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
            RunTime::Of(schema) => USUAL.contains(&name) || schema.generated.iter().any(|g| g == name),
        }
    }

    fn names(self) -> Vec<String> {
        let own: Vec<String> = match self {
            RunTime::Anything => Vec::new(),
            RunTime::Of(schema) => schema.generated.iter().map(ToString::to_string).collect(),
        };
        USUAL.iter().map(ToString::to_string).chain(own).collect()
    }
}

/// Reads a body and everything in it.
pub(super) fn read(body: &Body, scope: &Scope, reading: Reading<'_>, found: &mut Diagnostics) -> ConfigBody {
    let mut items: Vec<(usize, BodyItem)> = Vec::with_capacity(body.attributes.len() + body.blocks.len());
    for attribute in body.attributes.iter().filter(|a| !reading.skip.contains(&a.name.as_str())) {
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
    let about_run = |r: &&Reference| r.root == RUN_TIME_ROOT;
    if let Some(unknown) = references.iter().filter(about_run).find(|r| !is_offered(r, run_time)) {
        return Err(unsupported(unknown, run_time).into());
    }
    if references.iter().filter(about_run).all(|r| r.step(0) == Some("name")) {
        return evaluate(expression, scope).map(Leaf::Value);
    }
    Ok(Leaf::Deferred(Arc::new(serde_json::to_value(expression).expect("PROVISIONAL"))))
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
