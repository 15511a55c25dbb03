//! `kiln inspect`

use std::sync::Arc;

use clap::{ArgAction, Args};
use kiln_agent::catalog::Factories;
use kiln_config::{Inspection, Template};

use crate::arguments::TemplateArguments;
use crate::data_desk::{self, Round};
use crate::evaluation::LocalEvaluation;
use crate::exit_code::Ended;
use crate::render::{Screen, diagnostic, overview};
use crate::request;

/// `kiln inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    template: TemplateArguments,
    /// Taken for compatibility
    #[arg(long = "use-sequential-evaluation", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    use_sequential_evaluation: bool,
}

/// Shows what a template declares. What is wrong with it is `validate`'s affair: only a text that can't be read is an error.
pub(crate) fn run(arguments: &InspectArguments, screen: &Screen) -> Ended {
    // Without a template, or with several, Packer looks at one of its own.
    let path = arguments.template.one_template().unwrap_or("");
    let evaluation = LocalEvaluation::new(Arc::new(Factories::builtin()));
    let request = request::of(&arguments.template, path);
    let template = if path.is_empty() { Ok(Template::of_nothing()) } else { evaluation.read(&request) };
    let template = match template {
        Ok(template) => template,
        Err(found) => {
            diagnostic::show(screen, &found, &evaluation.sources());
            return Ended::Failed;
        }
    };
    let shown = data_desk::answered(&evaluation.factories(), |answers| {
        match evaluation.inspect(&template, &request, answers) {
            Inspection::Done(overview) => Round::Done(overview),
            Inspection::NeedsData(queries) => Round::Ask(queries),
        }
    });
    if let Some(shown) = shown {
        overview::show(screen, &shown);
    }
    Ended::Well
}
