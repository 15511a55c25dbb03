//! `kiln validate`

use std::sync::Arc;

use kiln_agent::catalog::Factories;

use crate::arguments::ValidateArguments;
use crate::command::complain_of_count;
use crate::evaluation::{Depth, LocalEvaluation};
use crate::exit_code::Ended;
use crate::render::{Screen, diagnostic};
use crate::request;

/// Checks a template and says what is wrong with it.
pub(crate) fn run(arguments: &ValidateArguments, screen: &Screen) -> Ended {
    let path = match arguments.template.one_template() {
        Ok(path) => path,
        Err(count) => return complain_of_count(screen, "validate", count),
    };
    let mut request = request::of(&arguments.template, path);
    request.warn_undeclared = !arguments.no_warn_undeclared_var;
    let depth = if arguments.syntax_only { Depth::Syntax } else { Depth::Full };
    let evaluation = LocalEvaluation::new(Arc::new(Factories::builtin()));
    let (_, found) = evaluation.run(&request, depth);
    diagnostic::show(screen, &found, &evaluation.sources());
    if found.has_errors() {
        return Ended::Failed;
    }
    screen.say(match depth {
        Depth::Syntax => "Syntax-only check passed. Everything looks okay.",
        Depth::Full => "The configuration is valid.",
    });
    Ended::Well
}
