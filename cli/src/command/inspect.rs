//! `kiln inspect`

use std::sync::Arc;

use clap::{ArgAction, Args};
use kiln_agent::catalog::Factories;
use kiln_config::Template;

use crate::arguments::TemplateArguments;
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
    let overview = match path {
        "" => Ok(evaluation.look_at(&Template::of_nothing(), &request)),
        _ => evaluation.inspect(&request),
    };
    match overview {
        Ok(shown) => {
            overview::show(screen, &shown);
            Ended::Well
        }
        Err(found) => {
            diagnostic::show(screen, &found, &evaluation.sources());
            Ended::Failed
        }
    }
}
