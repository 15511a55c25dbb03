//! The last passes: a template and the answers of data sources to plans.
//!
//! ```text
//!  variables: set? valid? ──► locals and data, in order ──► questions open? ──► NeedsData
//!                                     │ no
//!                                     ▼
//!  builds × sources ──► only/except ──► component types known? ──► one plan each, checked ──► Done
//! ```
//!
//! What is wrong with the template as a whole ends everything; what is wrong with one build only loses that
//! build's plan.

mod body;
mod console;
mod global;
mod hcl2;
mod inspect;
mod legacy;
mod missing;
pub(crate) mod requirement;
mod selection;

pub use console::{Answer, Completion, Console, INPUT as CONSOLE_INPUT, Opened};
pub use inspect::{Inspection, inspect};

use kiln_lang::Diagnostics;
use kiln_plan::build::TemplateContext;
use kiln_plan::{BuildPlan, Catalog};

use crate::data_source::{Answers, DataQuery};
use crate::host::SharedHost;
use crate::request::Request;
use crate::template::{Content, Template};
use crate::world_function::absolute;

/// What an evaluation is about, besides the template.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// The components that there are. Without one nothing about components is checked.
    pub catalog: Option<&'a Catalog>,
    /// What data sources have answered.
    pub answers: &'a Answers,
    /// Answers everything else.
    pub host: &'a SharedHost,
}

/// How an evaluation ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluation {
    /// These questions must be answered first. More may come once they are.
    NeedsData(Vec<DataQuery>),
    /// It is decided what will be built.
    Done {
        /// One plan per selected source of each build, in the order in which they start. None at all is no
        /// error by itself: `validate` is content, `build` isn't.
        plans: Vec<BuildPlan>,
        /// What is wrong. With errors, plans hold those builds that have none.
        diagnostics: Diagnostics,
    },
}

/// Evaluates a template.
pub fn evaluate(template: &Template, inputs: Inputs<'_>) -> Evaluation {
    let (request, chosen) = (inputs.request, |patterns: &[String]| !patterns.is_empty());
    let whole = !chosen(&request.only) && !chosen(&request.except);
    let mut evaluation = match &template.content {
        Content::Hcl2 { document, assignments } => {
            hcl2::evaluate(document, assignments, &template.root, inputs)
        }
        Content::Legacy { document, given } => legacy::evaluate(document, given, &template.root, inputs),
    };
    if let Evaluation::Done { plans, diagnostics } = &mut evaluation {
        template.farm.apply(plans);
        // Otherwise there may be more sources than plans.
        if whole && !plans.is_empty() && !diagnostics.has_errors() {
            let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
            diagnostics.extend(template.farm.unused(&names));
        }
    }
    evaluation
}

impl Inputs<'_> {
    /// What run-time text may ask for, without variables.
    fn facts(&self, root: &str) -> TemplateContext {
        let working_dir = self.host.working_directory();
        TemplateContext {
            template_dir: absolute(&working_dir, root),
            working_dir,
            started_ns: self.request.started_ns,
            core_version: self.request.core_version.clone(),
            run_uuid: self.request.run_uuid.clone(),
            ..TemplateContext::default()
        }
    }
}

fn done(plans: Vec<BuildPlan>, diagnostics: Diagnostics) -> Evaluation {
    Evaluation::Done { plans, diagnostics }
}

fn failed(diagnostics: Diagnostics) -> Evaluation {
    done(Vec::new(), diagnostics)
}
