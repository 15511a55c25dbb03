//! HCL2 templates: every build's sources to plans.

use std::collections::{BTreeSet, HashSet};

use kiln_lang::scope::Scope;
use kiln_lang::syntax::Block;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::build::{Dialect, PLAN_FORMAT, TemplateContext};
use kiln_plan::{
    BuildPlan, ComponentConfig, ComponentKind, ConfigBody, PostProcessorPlan, ProvisionerPlan, Requirements,
    Sensitive,
};

use super::body::{self, Reading, RunTime};
use super::global::{self, Gaps, Globals};
use super::missing::{self, Required, Wanted};
use super::selection::Selection;
use super::{Evaluation, Inputs, done, failed, requirement};
use crate::check;
use crate::template::hcl2::argument;
use crate::template::hcl2::build::{Build, SourceUse};
use crate::template::hcl2::post_processor::{self, PostProcessor};
use crate::template::hcl2::provisioner::{self, Provisioner};
use crate::template::hcl2::registry;
use crate::template::hcl2::source::Sources;
use crate::template::hcl2::{Document, dynamic::Nested};
use crate::variables::Assignments;

pub(super) fn evaluate(
    document: &Document,
    assignments: &Assignments,
    root: &str,
    inputs: Inputs<'_>,
) -> Evaluation {
    let mut globals = global::evaluate_globals(document, assignments, root, inputs, Gaps::Unknown);
    let mut found = std::mem::take(&mut globals.found);
    let sound = !found.has_errors();
    if sound && !globals.queries.is_empty() {
        return Evaluation::NeedsData(globals.queries);
    }
    let sources = Sources::new(&document.sources, &mut found);
    found.extend(registry::check(&document.registries, &globals.scope));
    let mut builds = Vec::with_capacity(document.builds.len());
    for block in &document.builds {
        let mut inner = Diagnostics::new();
        builds.push(Build::read(block, &globals.scope, &mut inner));
        // What is unknown because of a mistake is not a second one.
        found.extend(inner.into_iter().filter(|d| sound || !argument::asks_for_a_value(d)));
    }
    if document.builds.is_empty() {
        found.push(Diagnostic::error(
            "Missing build block",
            "A template needs a build block that names the sources to build.",
        ));
    }
    let secrets = globals.desk.take().into_iter().chain(globals.secrets.iter().cloned()).collect();
    let planner = Planner { document, globals: &globals, secrets, sources: &sources, root, inputs };
    for build in &builds {
        planner.check_types(build, &mut found);
    }
    if found.has_errors() {
        return failed(found);
    }
    let mut selection = match Selection::new(inputs.request) {
        Ok(selection) => selection,
        Err(complaints) => return failed(complaints),
    };
    let mut plans = Vec::new();
    // What a provisioner gets wrong, it gets wrong for every source of its build: it is told once.
    let mut seen = HashSet::new();
    for build in &builds {
        for source in &build.sources {
            if !body::are_enough(&found) && selection.runs(&full_name(build, source)) {
                let mut inner = Diagnostics::new();
                plans.extend(planner.plan(build, source, &mut selection, &mut inner));
                found.extend(
                    inner
                        .into_iter()
                        .filter(|d| seen.insert((d.span.clone(), d.summary.clone(), d.detail.clone()))),
                );
            }
        }
    }
    found.extend(selection.warnings());
    done(plans, found)
}

/// `[build.]type.source`
fn full_name(build: &Build<'_>, source: &SourceUse<'_>) -> String {
    match build.name.as_str() {
        "" => source.selector(),
        name => format!("{name}.{}", source.selector()),
    }
}

struct Planner<'a> {
    document: &'a Document,
    globals: &'a Globals,
    /// Those of no single source.
    secrets: BTreeSet<String>,
    sources: &'a Sources<'a>,
    root: &'a str,
    inputs: Inputs<'a>,
}

/// One source of one build, and what its components see.
struct Target<'a> {
    build: &'a Build<'a>,
    source: &'a SourceUse<'a>,
    /// `source` as an object of name and type.
    contextual: Value,
    run_time: RunTime<'a>,
}

impl Planner<'_> {
    /// Whether everything that a build uses exists.
    fn check_types(&self, build: &Build<'_>, found: &mut Diagnostics) {
        for source in &build.sources {
            if let Err(complaint) = self.sources.get(&source.reference, build.span) {
                found.push(complaint);
                continue;
            }
            let name = &source.reference.kind;
            let summary = format!("Unknown source type {name}");
            let kind = ComponentKind::Builder;
            self.check_type(Wanted { kind, name, summary: &summary, span: build.span }, found);
        }
        let mut check = |kind, noun: &str, block: &Nested<'_>| {
            let name = block.label(0);
            let summary = format!("Unknown {noun} type {name:?}");
            self.check_type(Wanted { kind, name, summary: &summary, span: block.header }, found);
        };
        for provisioner in &build.provisioners {
            check(ComponentKind::Provisioner, "provisioner", &provisioner.block);
        }
        if let Some(cleanup) = &build.error_cleanup {
            check(ComponentKind::Provisioner, "error-cleanup-provisioner", &cleanup.block);
        }
        for post_processor in build.post_processors.iter().flatten() {
            check(ComponentKind::PostProcessor, "post-processor", &post_processor.block);
        }
    }

    fn check_type(&self, wanted: Wanted<'_>, found: &mut Diagnostics) {
        let complaint =
            missing::complaint(wanted, self.inputs, Required::Hcl2(&self.document.required_plugins));
        // Each type once: a build of twenty sources would say it twenty times.
        if let Some(complaint) = complaint
            && !found.iter().any(|d| d.summary == complaint.summary && d.span == complaint.span)
        {
            found.push(complaint);
        }
    }

    fn plan(
        &self,
        build: &Build<'_>,
        source: &SourceUse<'_>,
        selection: &mut Selection,
        found: &mut Diagnostics,
    ) -> Option<BuildPlan> {
        let mut inner = Diagnostics::new();
        // What other plans asked for is none of this one's secrets.
        self.globals.desk.take();
        let schema = self.inputs.catalog.and_then(|c| c.get(ComponentKind::Builder, &source.reference.kind));
        let contextual = [("name", source.name()), ("type", source.reference.kind.as_str())];
        let target = Target {
            build,
            source,
            contextual: Value::object(contextual.map(|(k, v)| (k.to_owned(), Value::from(v)))),
            run_time: schema.map_or(RunTime::Anything, RunTime::Of),
        };
        let builder = self.builder(&target, &mut inner);
        let selector = source.selector();
        let takes_part = |p: &&Provisioner<'_>| p.restriction.allows(&selector);
        let provisioners = build.provisioners.iter().filter(takes_part);
        let provisioners = provisioners.map(|p| self.provisioner(p, &target, &mut inner)).collect();
        let error_cleanup = build.error_cleanup.as_ref().filter(takes_part);
        let error_cleanup = error_cleanup.map(|p| self.provisioner(p, &target, &mut inner));
        let post_processors = self.post_processors(&target, selection, &mut inner);
        let failed = inner.has_errors() || builder.is_none();
        found.extend(inner);
        let mut plan = BuildPlan {
            format: PLAN_FORMAT,
            name: full_name(build, source),
            source_name: source.reference.name.clone(),
            dialect: Dialect::Hcl2,
            builder: builder?,
            provisioners,
            error_cleanup,
            post_processors,
            facts: TemplateContext { block_name: build.name.clone(), ..self.inputs.facts(self.root) },
            options: self.inputs.request.options.clone(),
            secrets: self.all_secrets(),
            requirements: Requirements::default(),
            data: self.globals.data.clone(),
            bundle: None,
        };
        plan.requirements = requirement::of(&plan);
        (!failed).then_some(plan)
    }

    /// All secrets of the plan that has just been made: those of every plan, and what it asked stores for.
    fn all_secrets(&self) -> Vec<Sensitive<String>> {
        let all: BTreeSet<String> = self.globals.desk.take().union(&self.secrets).cloned().collect();
        all.into_iter().map(Sensitive::new).collect()
    }

    /// The source's own options and those that the build adds.
    fn builder(&self, target: &Target<'_>, found: &mut Diagnostics) -> Option<ComponentConfig> {
        let source = target.source;
        let declared: &Block = found.take(self.sources.get(&source.reference, target.build.span))?;
        let mut inner = Diagnostics::new();
        let scope = self.globals.scope.clone().with("source", target.contextual.clone());
        let reading = Reading { skip: &[], run_time: None };
        let mut body = body::read(&declared.body, &scope, reading, &mut inner);
        if let Some(added) = &source.block {
            // In a dynamic block the iterator is called `source` too, and hides what it stands for here.
            let scope = match is_contextual(&added.scope) {
                true => added.scope.clone().with("source", target.contextual.clone()),
                false => added.scope.clone(),
            };
            let reading = Reading { skip: &["name"], run_time: None };
            let more = body::read(added.body, &scope, reading, &mut inner);
            merge(&mut body, more, &mut inner);
        }
        let component = ComponentConfig {
            kind: ComponentKind::Builder,
            name: source.reference.kind.clone(),
            span: Some(declared.header.clone()),
            body,
        };
        self.check(&component, inner, &declared.header_text(), found);
        Some(component)
    }

    fn check(
        &self,
        component: &ComponentConfig,
        mut inner: Diagnostics,
        context: &str,
        found: &mut Diagnostics,
    ) {
        inner.extend(body::check_size(&component.body));
        if let Some(catalog) = self.inputs.catalog {
            inner.extend(check::hcl2(component, catalog));
        }
        found.extend(inner.into_iter().map(|d| d.within(context)));
    }

    /// The config of a provisioner or post-processor.
    fn component(
        &self,
        block: &Nested<'_>,
        target: &Target<'_>,
        role: (ComponentKind, &[&str]),
        found: &mut Diagnostics,
    ) -> ComponentConfig {
        let (kind, skip) = role;
        let scope = block.scope.clone();
        let scope = match is_contextual(&scope) {
            true => scope.with("source", target.contextual.clone()),
            false => scope,
        };
        let reading = Reading { skip, run_time: Some(target.run_time) };
        let body = body::read(block.body, &scope, reading, found);
        ComponentConfig { kind, name: block.label(0).to_owned(), span: Some(block.header.clone()), body }
    }

    fn provisioner(
        &self,
        provisioner: &Provisioner<'_>,
        target: &Target<'_>,
        found: &mut Diagnostics,
    ) -> ProvisionerPlan {
        let mut inner = Diagnostics::new();
        let block = &provisioner.block;
        let role = (ComponentKind::Provisioner, provisioner::META.as_slice());
        let mut component = self.component(block, target, role, &mut inner);
        for (name, value) in provisioner.overrides_for(target.source.name()) {
            component.body.set(name, value.clone());
        }
        self.check(&component, inner, &block.header_text(), found);
        ProvisionerPlan {
            component,
            pause_before: provisioner.pause_before,
            timeout: provisioner.timeout,
            max_retries: provisioner.max_retries,
            continue_on_error: provisioner.continue_on_error,
        }
    }

    fn post_processors(
        &self,
        target: &Target<'_>,
        selection: &mut Selection,
        found: &mut Diagnostics,
    ) -> Vec<Vec<PostProcessorPlan>> {
        let selector = target.source.selector();
        let mut sequences = Vec::new();
        for sequence in &target.build.post_processors {
            let mut kept = Vec::new();
            for post_processor in sequence.iter().filter(|p| p.restriction.allows(&selector)) {
                if selection.cuts(post_processor.selector()) {
                    break;
                }
                kept.push(self.post_processor(post_processor, target, found));
            }
            if !kept.is_empty() {
                sequences.push(kept);
            }
        }
        sequences
    }

    fn post_processor(
        &self,
        post_processor: &PostProcessor<'_>,
        target: &Target<'_>,
        found: &mut Diagnostics,
    ) -> PostProcessorPlan {
        let mut inner = Diagnostics::new();
        let block = &post_processor.block;
        let role = (ComponentKind::PostProcessor, post_processor::META.as_slice());
        let component = self.component(block, target, role, &mut inner);
        self.check(&component, inner, &block.header_text(), found);
        PostProcessorPlan {
            component,
            name: post_processor.name.clone(),
            keep_input_artifact: post_processor.keep_input_artifact,
        }
    }
}

/// Whether `source` is the contextual value, not the iterator of a dynamic block.
fn is_contextual(scope: &Scope) -> bool {
    let known = |value: &Value| value.as_entries().is_some_and(|e| e.contains_key("value"));
    !scope.get("source").is_some_and(known)
}

/// Adds the options of a build's source block to those of the source. An option can't be replaced.
fn merge(body: &mut ConfigBody, more: ConfigBody, found: &mut Diagnostics) {
    for item in more.items {
        let is_attribute = matches!(item, kiln_plan::BodyItem::Attribute { .. });
        if is_attribute && body.attribute(item.name()).is_some() {
            let detail = format!(
                "The source sets {:?} already; a build can add options to a source, not replace them.",
                item.name()
            );
            found.push(Diagnostic::error("Duplicate argument", detail).at(item.span().cloned()));
        } else {
            body.items.push(item);
        }
    }
}
