//! A component out of a plan: its factory, its finished config, and where its mistakes stand.

use std::sync::Arc;

use kiln_component::factory::{Made, Make};
use kiln_component::{Builder, Factory, FinishedConfig, PostProcessor, Provisioner};
use kiln_lang::diagnostic::nearest;
use kiln_lang::{Diagnostic, Diagnostics, Severity};
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, Failure, Fault};

use super::finish_config::{Moment, finish};
use super::schema_check;
use crate::catalog::Factories;

/// Makes the components of one plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker<'a> {
    pub(super) plan: &'a Arc<BuildPlan>,
    pub(super) factories: &'a Factories,
}

impl<'a> Maker<'a> {
    pub(super) fn builder(self, moment: Moment<'_>) -> Made<Box<dyn Builder>> {
        self.make(&self.plan.builder, moment, |make, config| match make {
            Make::Builder(make) => Some(make(config)),
            _ => None,
        })
    }

    pub(super) fn provisioner(
        self,
        component: &ComponentConfig,
        moment: Moment<'_>,
    ) -> Made<Box<dyn Provisioner>> {
        self.make(component, moment, |make, config| match make {
            Make::Provisioner(make) => Some(make(config)),
            _ => None,
        })
    }

    pub(super) fn post_processor(
        self,
        component: &ComponentConfig,
        moment: Moment<'_>,
    ) -> Made<Box<dyn PostProcessor>> {
        self.make(component, moment, |make, config| match make {
            Make::PostProcessor(make) => Some(make(config)),
            _ => None,
        })
    }

    fn make<T>(
        self,
        component: &ComponentConfig,
        moment: Moment<'_>,
        with: impl FnOnce(Make, FinishedConfig) -> Option<Made<T>>,
    ) -> Made<T> {
        let place = |found: Diagnostics| placed(found, component);
        let factory = self.factories.get(component.kind, &component.name);
        let factory = factory.ok_or_else(|| place(unknown(component, self.factories).into()))?;
        let mut found = Diagnostics::new();
        if matches!(moment, Moment::Check) {
            found.extend(schema_check::check(&component.body, &factory.schema.options, self.plan.dialect));
        }
        let config = finish(self, component, factory, moment).map_err(|errors| {
            found.extend(errors);
            place(std::mem::take(&mut found))
        })?;
        match with(factory.make, config) {
            Some(Ok((made, warnings))) => {
                found.extend(warnings);
                let found = place(found);
                if found.has_errors() { Err(found) } else { Ok((made, found)) }
            }
            Some(Err(errors)) => {
                found.extend(errors);
                Err(place(found))
            }
            None => Err(place(unknown(component, self.factories).into())),
        }
    }

    /// The factory of the plan's builder, if there is one.
    pub(super) fn builder_factory(self) -> Option<&'a Factory> {
        self.factories.get(ComponentKind::Builder, &self.plan.builder.name)
    }
}

fn unknown(component: &ComponentConfig, factories: &Factories) -> Diagnostic {
    let noun = match component.kind {
        ComponentKind::Builder => "source",
        kind => kind.noun(),
    };
    let known: Vec<&str> = factories.names(component.kind).collect();
    let detail = format!("This machine offers {}.", known.join(", "));
    let diagnostic = Diagnostic::error(format!("Unknown {noun} type {:?}", component.name), detail);
    match nearest(&component.name, known.iter().copied()) {
        Some(similar) => diagnostic.hint(format!("did you mean {similar:?}?")),
        None => diagnostic,
    }
}

/// Findings that don't say where they stand stand at their component's block.
fn placed(found: Diagnostics, component: &ComponentConfig) -> Diagnostics {
    let header = format!("{} {:?}", component.kind.noun(), component.name);
    let place = |d: Diagnostic| {
        let d = if d.span.is_none() { d.at(component.span.clone()) } else { d };
        d.within(header.clone())
    };
    found.into_iter().map(place).collect()
}

/// The failure of an attempt whose config has these mistakes.
pub(super) fn failure(found: &Diagnostics) -> Failure {
    let errors: Vec<&Diagnostic> = found.iter().filter(|d| d.severity == Severity::Error).collect();
    let sentence = |d: &&Diagnostic| {
        let context = d.context.as_ref().map(|c| format!("{c}: ")).unwrap_or_default();
        format!("{context}{}: {}", d.summary, d.detail)
    };
    let message: Vec<String> = errors.iter().map(sentence).collect();
    let failure = Failure::new(Fault::Template, message.join("\n"));
    match errors.iter().find_map(|d| d.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
