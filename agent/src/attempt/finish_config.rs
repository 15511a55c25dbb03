//! A config right before use: deferred leaves become values, blocks become tuples of objects, and every string is
//! rendered once, except for the options that a component renders itself (`late`).

use std::collections::BTreeMap;

use kiln_component::{Factory, FinishedConfig, GeneratedData, render};
use kiln_lang::go_template::{Dot, OptionError, Renderer};
use kiln_lang::{Deferred, Diagnostic, Diagnostics, Scope, Value};
use kiln_plan::build::Dialect;
use kiln_plan::{BodyItem, ComponentConfig, ConfigBody, Leaf};

use super::make::Maker;
use super::run_values;

/// When a config is finished, which decides about the values of the run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment<'a> {
    /// Before the run: placeholders.
    Check,
    /// At the builder's start: there are none.
    Builder,
    /// With these.
    Running(&'a GeneratedData),
}

/// Finishes the config of a component.
pub(super) fn finish(
    maker: Maker<'_>,
    component: &ComponentConfig,
    factory: &Factory,
    moment: Moment<'_>,
) -> Result<FinishedConfig, Diagnostics> {
    let generated = match moment {
        Moment::Check | Moment::Builder => GeneratedData::default(),
        Moment::Running(generated) => generated.clone(),
    };
    let build = run_values::build_object(maker.plan, maker.builder_factory(), &generated);
    let mut finishing = Finishing { build: &build, found: Diagnostics::new() };
    let options = finishing.body(&component.body);
    let dry = matches!(moment, Moment::Check);
    if !dry && !options.is_wholly_known() {
        finishing.found.push(Diagnostic::error(
            "Unknown value at run time",
            "An option has no value although the build is running; plan the build again.",
        ));
    }
    if finishing.found.has_errors() {
        return Err(finishing.found);
    }
    let late = |name: &str| factory.schema.option(name).is_some_and(|o| o.late);
    let renderer = renderer(maker, component, build.clone());
    let options = renderer.render_tree(&options, &late).map_err(|errors| {
        let diagnostic = |e: OptionError| unrendered(&e, &component.body);
        errors.into_iter().map(diagnostic).collect::<Diagnostics>()
    })?;
    Ok(FinishedConfig { options, plan: maker.plan.clone(), dry, generated })
}

/// In HCL2 the values of the run come by `build.X` alone; JSON templates have `{{ build "X" }}`, except in the builder.
fn renderer(maker: Maker<'_>, component: &ComponentConfig, build: Value) -> Renderer {
    let renderer = render::renderer(maker.plan);
    let is_builder = component.kind == kiln_plan::ComponentKind::Builder;
    match maker.plan.dialect {
        Dialect::LegacyJson if !is_builder => renderer.with_dot(Dot::Map(build)),
        _ => renderer,
    }
}

struct Finishing<'a> {
    build: &'a Value,
    found: Diagnostics,
}

impl Finishing<'_> {
    fn body(&mut self, body: &ConfigBody) -> Value {
        let mut options: BTreeMap<String, Value> = BTreeMap::new();
        let mut blocks: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for item in &body.items {
            match item {
                BodyItem::Attribute { name, leaf, .. } => {
                    options.insert(name.clone(), self.leaf(leaf));
                }
                BodyItem::Block { name, body, .. } => {
                    let object = self.body(body);
                    blocks.entry(name).or_default().push(object);
                }
            }
        }
        options.extend(blocks.into_iter().map(|(name, objects)| (name.to_owned(), Value::tuple(objects))));
        Value::object(options)
    }

    fn leaf(&mut self, leaf: &Leaf) -> Value {
        match leaf {
            Leaf::Value(value) => value.clone(),
            Leaf::Deferred(deferred) => deferred_value(deferred, self.build).unwrap_or_else(|found| {
                self.found.extend(found);
                Value::null()
            }),
        }
    }
}

fn unrendered(error: &OptionError, body: &ConfigBody) -> Diagnostic {
    let option = error.path.split(['.', '[']).next().unwrap_or_default();
    let span = body.items.iter().find(|item| item.name() == option).and_then(BodyItem::span);
    Diagnostic::error("Error interpolating configuration", error.to_string()).at(span.cloned())
}

/// Evaluates what waited for the values of the run. Functions that ask the world something can't be called any more: of
/// them the plan holds the answers.
fn deferred_value(leaf: &Deferred, build: &Value) -> Result<Value, Diagnostics> {
    leaf.finish(&Scope::new(&kiln_lang::function::carried()).with("build", build.clone()))
}
