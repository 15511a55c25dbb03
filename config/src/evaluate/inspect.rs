//! A template at a glance: whatever can be told of it, although something else in it may be wrong.
//!
//! Sources and components aren't looked into and need not exist. Only what evaluation stumbles over is left out: a
//! local without a value, a build with a mistake in its own arguments.

use kiln_lang::format_value::console_text;
use kiln_lang::value::Data;
use kiln_lang::{Diagnostics, Value};
use kiln_plan::secret::{REDACTED, Redactor};

use super::Inputs;
use super::global::{self, Gaps, Globals};
use crate::data_source::DataQuery;
use crate::overview::{BuildOverview, Hcl2Overview, LegacyOverview, Overview};
use crate::template::hcl2::build::Build;
use crate::template::{Content, Template, hcl2, legacy};
use crate::variables::{Assignments, secrets_in};

/// How an inspection ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Inspection {
    /// These questions must be answered first. More may come once they are.
    NeedsData(Vec<DataQuery>),
    /// What there is to see.
    Done(Overview),
}

/// Looks a template over.
pub fn inspect(template: &Template, inputs: Inputs<'_>) -> Inspection {
    match &template.content {
        Content::Hcl2 { document, assignments } => {
            match inspect_hcl2(document, assignments, &template.root, inputs) {
                Ok(overview) => Inspection::Done(Overview::Hcl2(overview)),
                Err(queries) => Inspection::NeedsData(queries),
            }
        }
        Content::Legacy { document, .. } => Inspection::Done(Overview::Legacy(inspect_legacy(document))),
    }
}

fn inspect_hcl2(
    document: &hcl2::Document,
    assignments: &Assignments,
    root: &str,
    inputs: Inputs<'_>,
) -> Result<Hcl2Overview, Vec<DataQuery>> {
    let globals = global::evaluate_globals(document, assignments, root, inputs, Gaps::Absent);
    if !globals.queries.is_empty() {
        return Err(globals.queries);
    }
    let redactor = Redactor::new(secrets(document, &globals).iter().map(String::as_str));
    // As everywhere, a secret is hidden wherever it turns up, be it in a name.
    let hide = |text: &str| redactor.redact(text).into_owned();
    let shown = |(name, value): (&String, &Value)| (hide(name), console_text(&open(value, &redactor)));
    let build = |block| {
        let mut found = Diagnostics::new();
        let build = Build::read(block, &globals.scope, &mut found);
        (!found.has_errors()).then(|| glance(&build, &redactor))
    };
    Ok(Hcl2Overview {
        variables: globals.variables.iter().map(shown).collect(),
        locals: globals.locals.iter().filter(|(_, value)| !is_unasked(value)).map(shown).collect(),
        builds: document.builds.iter().filter_map(build).collect(),
    })
}

/// Whether a value waits for a secret that nobody asks for here. Packer has none to show either, for want of a token.
fn is_unasked(value: &Value) -> bool {
    !value.is_wholly_known() && value.contains_sensitive()
}

/// The texts in what is declared sensitive. What was made of them is looked into when it is shown.
pub(super) fn secrets(document: &hcl2::Document, globals: &Globals) -> Vec<String> {
    let declared = document.locals.iter().filter(|l| l.sensitive).filter_map(|l| globals.locals.get(&l.name));
    let mut secrets = Vec::new();
    globals.variables.values().chain(declared).for_each(|value| secrets_in(value, &mut secrets));
    secrets
}

fn glance(build: &Build<'_>, redactor: &Redactor) -> BuildOverview {
    let hide = |text: &str| redactor.redact(text).into_owned();
    let labelled = |kind: &str, name: &str| match name {
        "" => hide(kind),
        name => hide(&format!("{kind}.{name}")),
    };
    let provisioners = build.provisioners.iter().map(|p| labelled(p.block.label(0), &p.name));
    let sequences = build.post_processors.iter();
    BuildOverview {
        name: hide(&build.name),
        description: hide(&build.description),
        sources: build.sources.iter().map(|source| hide(&source.selector())).collect(),
        provisioners: provisioners.collect(),
        post_processors: sequences.map(|s| s.iter().map(|p| labelled(p.kind(), &p.name)).collect()).collect(),
    }
}

/// The value without marks, its secrets replaced. A text that was made from a secret shows what else it says, unless the
/// secret can't be found in it any more: then it is hidden as a whole. Of the two bools neither tells anything.
pub(super) fn open(value: &Value, redactor: &Redactor) -> Value {
    opened(value, false, redactor)
}

fn opened(value: &Value, marked: bool, redactor: &Redactor) -> Value {
    let marked = marked || value.sensitive;
    let each = |items: &[Value]| items.iter().map(|v| opened(v, marked, redactor)).collect();
    let by_name = |entries: &std::collections::BTreeMap<String, Value>| {
        entries.iter().map(|(name, v)| (name.clone(), opened(v, marked, redactor))).collect()
    };
    Value::new(match &value.data {
        Data::String(text) => {
            let redacted = redactor.redact(text);
            let hidden = marked && redacted == **text && !text.is_empty();
            return Value::from(if hidden { REDACTED } else { &*redacted });
        }
        Data::Number(_) if marked => return Value::from(REDACTED),
        Data::List(ty, items) => Data::List(ty.clone(), each(items)),
        Data::Set(ty, items) => Data::Set(ty.clone(), each(items)),
        Data::Tuple(items) => Data::Tuple(each(items)),
        Data::Map(ty, entries) => Data::Map(ty.clone(), by_name(entries)),
        Data::Object(entries) => Data::Object(by_name(entries)),
        plain => plain.clone(),
    })
}

fn inspect_legacy(document: &legacy::Document) -> LegacyOverview {
    let declared = |name: &String| document.variables.get(name).and_then(|(default, _)| default.as_deref());
    let secrets: Vec<&str> = document.sensitive_variables.iter().filter_map(declared).collect();
    let mut overview =
        LegacyOverview { description: document.description.clone(), ..LegacyOverview::default() };
    for (name, (default, _)) in &document.variables {
        match default {
            None => overview.required.push(name.clone()),
            Some(secret) if secrets.contains(&secret.as_str()) && !secret.is_empty() => {
                overview.optional.push((name.clone(), REDACTED.to_owned()));
            }
            Some(default) => overview.optional.push((name.clone(), default.clone())),
        }
    }
    overview.builders = document.builders.iter().map(|b| (b.name.clone(), b.kind.clone())).collect();
    overview.builders.sort();
    overview.provisioners = document.provisioners.iter().map(|p| p.kind.clone()).collect();
    overview
}
