//! Templates in, plans and complaints out, against a world that is a table.

mod blocks;
mod bounds;
mod bundle;
mod check;
mod console;
mod contexts;
mod data_source;
mod farm_file;
mod functions;
mod hcl2;
mod inspect;
mod legacy;
mod missing;
mod phases;
mod secret;
mod selection;
mod variables;
mod world;
mod world_function;

use std::sync::Arc;

use kiln_lang::{Diagnostic, SourceMap, Value};
use kiln_plan::{BodyItem, BuildPlan, Catalog, ComponentConfig, ConfigBody, Leaf};

use crate::{Answers, Evaluation, Inputs, Request, SharedHost, evaluate, parse};
pub(crate) use world::World;

/// A request for a path.
pub(crate) fn request(path: &str) -> Request {
    Request {
        path: path.to_owned(),
        run_uuid: "run".to_owned(),
        started_ns: 1_600_000_000_000_000_000,
        core_version: "1.16.0".to_owned(),
        ..Request::default()
    }
}

/// What comes of a template: a line for each plan and its parts, then the complaints.
pub(crate) fn outcome(world: World, request: &Request) -> String {
    outcome_with(world, request, None, &Answers::none())
}

/// The same for a single HCL2 file.
pub(crate) fn hcl(text: &str) -> String {
    outcome(World::default().file("t.pkr.hcl", text), &request("t.pkr.hcl"))
}

/// The same for a single legacy file.
pub(crate) fn json(text: &str) -> String {
    outcome(World::default().file("t.json", text), &request("t.json"))
}

pub(crate) fn outcome_with(
    world: World,
    request: &Request,
    catalog: Option<&Catalog>,
    answers: &Answers,
) -> String {
    let host: SharedHost = Arc::new(world);
    let (template, found, sources) = parse(request, &host);
    let complaints = |list: &[Diagnostic]| list.iter().map(|d| complaint(d, &sources)).collect::<String>();
    let parsed = complaints(&found.iter().cloned().collect::<Vec<_>>());
    let Some(template) = template.filter(|_| !found.has_errors()) else { return parsed };
    match evaluate(&template, Inputs { request, catalog, answers, host: &host }) {
        Evaluation::NeedsData(queries) => {
            let query = |q: &crate::DataQuery| format!("needs {} {}\n", q.id, component(&q.component));
            queries.iter().map(query).collect()
        }
        Evaluation::Done { plans, diagnostics } => {
            let plans: String = plans.iter().map(plan).collect();
            let list: Vec<_> = diagnostics.iter().cloned().collect();
            format!("{plans}{parsed}{}", complaints(&list))
        }
    }
}

/// The plans of a template without data sources.
pub(crate) fn plans(world: World, request: &Request) -> Vec<BuildPlan> {
    let host: SharedHost = Arc::new(world);
    let (template, ..) = parse(request, &host);
    let answers = Answers::none();
    let inputs = Inputs { request, catalog: None, answers: &answers, host: &host };
    match evaluate(&template.expect("the template parses"), inputs) {
        Evaluation::Done { plans, .. } => plans,
        Evaluation::NeedsData(_) => panic!("there are data sources"),
    }
}

fn complaint(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let place = diagnostic.span.as_ref().map(|span| {
        let line = sources.get(&span.file).map_or(0, |file| file.position(span.start).line);
        format!("{}:{line}: ", span.file)
    });
    let context = diagnostic.context.as_ref().map(|c| format!(" (in {c})")).unwrap_or_default();
    let hint = diagnostic.hint.as_ref().map(|h| format!(" [{h}]")).unwrap_or_default();
    format!(
        "{:?}: {}{}: {}{context}{hint}\n",
        diagnostic.severity,
        place.unwrap_or_default(),
        diagnostic.summary,
        diagnostic.detail.replace('\n', " ")
    )
}

fn plan(plan: &BuildPlan) -> String {
    let mut text = format!("{} ({}): {}\n", plan.name, plan.source_name, component(&plan.builder));
    for p in plan
        .provisioners
        .iter()
        .map(|p| ("provisioner", p))
        .chain(plan.error_cleanup.iter().map(|p| ("cleanup", p)))
    {
        let (role, p) = p;
        text.push_str(&format!("  {role} {}", component(&p.component)));
        let seconds = |d: kiln_lang::duration::SignedDuration| d.nanoseconds as f64 / 1e9;
        if !p.pause_before.is_zero() {
            text.push_str(&format!(" pause={}", seconds(p.pause_before)));
        }
        if !p.timeout.is_zero() {
            text.push_str(&format!(" timeout={}", seconds(p.timeout)));
        }
        if p.max_retries > 0 {
            text.push_str(&format!(" retries={}", p.max_retries));
        }
        if p.continue_on_error {
            text.push_str(" continue");
        }
        text.push('\n');
    }
    for sequence in &plan.post_processors {
        let one = |p: &kiln_plan::PostProcessorPlan| {
            let keep = p.keep_input_artifact.map(|k| format!(" keep={k}")).unwrap_or_default();
            format!("{:?} {}{keep}", p.name, component(&p.component))
        };
        let all: Vec<_> = sequence.iter().map(one).collect();
        text.push_str(&format!("  post {}\n", all.join(" > ")));
    }
    text
}

fn component(config: &ComponentConfig) -> String {
    format!("{} {}", config.name, body(&config.body))
}

fn body(config: &ConfigBody) -> String {
    let item = |item: &BodyItem| match item {
        BodyItem::Attribute { name, leaf: Leaf::Value(value), .. } => format!("{name}={value:?}"),
        BodyItem::Attribute { name, leaf: Leaf::Deferred(_), .. } => format!("{name}=later"),
        BodyItem::Block { name, body: inside, .. } => format!("{name} {}", body(inside)),
    };
    let items: Vec<_> = config.items.iter().map(item).collect();
    format!("{{{}}}", items.join(", "))
}

/// An object of texts.
pub(crate) fn object(entries: &[(&str, &str)]) -> Value {
    Value::object(entries.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))))
}

/// The value of `x` in the one plan of a source `null.a`, or the complaints when there is none.
pub(crate) fn value_shown(shown: &str) -> String {
    let shown = shown.trim();
    let value = shown.strip_prefix("null.a (a): null {x=").and_then(|rest| rest.strip_suffix('}'));
    value.unwrap_or(shown).to_owned()
}
