//! A template read and evaluated on this machine: what `validate` shows, and what the coordinator of the farm of
//! one asks for when a build is submitted.

use std::sync::{Arc, Mutex, PoisonError};

use kiln_agent::catalog::Factories;
use kiln_config::{Answers, Console, Evaluation, Inputs, Inspection, Opened, Request, SharedHost, Template};
use kiln_coordinator::Evaluated;
use kiln_lang::{Diagnostics, SourceMap};
use kiln_plan::BuildPlan;

use crate::local_host::LocalHost;
use crate::log;

/// Evaluates templates of this machine against the components of this machine.
#[derive(Clone, Debug)]
pub(crate) struct LocalEvaluation {
    factories: Arc<Factories>,
    host: SharedHost,
    sources: Arc<Mutex<SourceMap>>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only what parsing finds.
    Syntax,
    /// Everything, down to each component's own check of its config.
    Full,
}

impl LocalEvaluation {
    /// With the components of `factories`.
    pub(crate) fn new(factories: Arc<Factories>) -> Self {
        Self::with_host(factories, Arc::new(LocalHost::with_secret_stores()))
    }

    /// The same, asking another host than this machine itself.
    pub(crate) fn with_host(factories: Arc<Factories>, host: SharedHost) -> Self {
        Self { factories, host, sources: Arc::default() }
    }

    /// The components it knows.
    pub(crate) fn factories(&self) -> Arc<Factories> {
        Arc::clone(&self.factories)
    }

    /// The texts that the latest evaluation's findings point into.
    pub(crate) fn sources(&self) -> SourceMap {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The plans of those builds that have no errors, and all findings; or what must be asked first.
    pub(crate) fn run(&self, request: &Request, depth: Depth, answers: &Answers) -> Evaluated {
        let (template, mut found, sources) = kiln_config::parse(request, &self.host);
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
        let template = match template {
            Some(template) if depth == Depth::Full => template,
            _ => return Evaluated { diagnostics: found, ..Evaluated::default() },
        };
        let catalog = &self.factories.catalog();
        let inputs = Inputs { request, catalog: Some(catalog), answers, host: &self.host };
        let unreadable = found.has_errors();
        match kiln_config::evaluate(&template, inputs) {
            Evaluation::Done { plans, diagnostics } => {
                found.extend(diagnostics);
                // What was understood of a template with mistakes is looked at for more of them, but never built.
                let plans = if unreadable { Vec::new() } else { self.checked(plans, &mut found) };
                Evaluated { plans, diagnostics: found, questions: Vec::new() }
            }
            Evaluation::NeedsData(questions) => {
                Evaluated { plans: Vec::new(), diagnostics: found, questions }
            }
        }
    }

    /// The template that a request names, or why its text can't be understood.
    pub(crate) fn read(&self, request: &Request) -> Result<Template, Diagnostics> {
        let (template, found, sources) = kiln_config::parse(request, &self.host);
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
        template.filter(|_| !found.has_errors()).ok_or(found)
    }

    /// What there is to see of a template, or what must be asked first. Secret stores aren't.
    pub(crate) fn inspect(&self, template: &Template, request: &Request, answers: &Answers) -> Inspection {
        let catalog = &self.factories.catalog();
        let host: SharedHost = Arc::new(LocalHost::default());
        kiln_config::inspect(template, Inputs { request, catalog: Some(catalog), answers, host: &host })
    }

    /// A console over a template, or what must be asked first.
    pub(crate) fn console(&self, template: &Template, request: &Request, answers: &Answers) -> Opened {
        let catalog = &self.factories.catalog();
        Console::open(template, Inputs { request, catalog: Some(catalog), answers, host: &self.host })
    }

    /// Those plans whose components find nothing wrong with their configs.
    fn checked(&self, plans: Vec<BuildPlan>, found: &mut Diagnostics) -> Vec<BuildPlan> {
        let mut good = Vec::with_capacity(plans.len());
        for plan in plans {
            log::hide(plan.secrets.iter().map(|s| s.reveal().as_str()));
            let plan = Arc::new(plan);
            let checked = kiln_agent::check(&plan, &self.factories);
            if !checked.has_errors() {
                // The check has let go of it by now; a copy is made only if some component kept a hold.
                good.push(Arc::unwrap_or_clone(plan));
            }
            found.extend(checked);
        }
        good
    }
}
