//! `kiln validate`

use std::sync::Arc;

use kiln_agent::catalog::Factories;
use kiln_config::{Answers, Request};
use kiln_lang::Diagnostics;

use crate::arguments::ValidateArguments;
use crate::command::complain_of_count;
use crate::data_desk::{self, Round};
use crate::evaluation::{Depth, LocalEvaluation};
use crate::exit_code::Ended;
use crate::render::{Reader, Screen, diagnostic, json};
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
    let found = findings(&evaluation, &request, depth, arguments.evaluate_datasources);
    diagnostic::show(screen, &found, &evaluation.sources());
    if screen.look().reader == Reader::Json {
        screen.object(&json::verdict(&found));
    }
    if found.has_errors() {
        return Ended::Failed;
    }
    if screen.look().reader == Reader::Json {
        return Ended::Well;
    }
    screen.say(match depth {
        Depth::Syntax => "Syntax-only check passed. Everything looks okay.",
        Depth::Full => "The configuration is valid.",
    });
    Ended::Well
}

/// What is wrong with the template. Data sources are asked only if that is wanted; otherwise unknown values stand for
/// their answers.
fn findings(evaluation: &LocalEvaluation, request: &Request, depth: Depth, ask: bool) -> Diagnostics {
    if !ask {
        return evaluation.run(request, depth, &Answers::placeholders()).diagnostics;
    }
    let found = data_desk::answered(&evaluation.factories(), |answers| {
        let evaluated = evaluation.run(request, depth, answers);
        match evaluated.questions.is_empty() {
            true => Round::Done(evaluated.diagnostics),
            false => Round::Ask(evaluated.questions),
        }
    });
    found.unwrap_or_default()
}
