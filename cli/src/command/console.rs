//! `kiln console`

mod piped;
mod terminal;

use std::sync::Arc;

use kiln_agent::catalog::Factories;
use kiln_config::{CONSOLE_INPUT, Console, Opened, Template};
use kiln_lang::{Diagnostics, SourceFile};

use crate::arguments::console::ConsoleArguments;
use crate::data_desk::{self, Round};
use crate::evaluation::LocalEvaluation;
use crate::exit_code::Ended;
use crate::render::{Screen, diagnostic};
use crate::request;

/// Answers lines over a template: with a prompt on a terminal, silently but for the last answer otherwise.
pub(crate) fn run(arguments: &ConsoleArguments, screen: &Screen) -> Ended {
    // Without a template, or with several, Packer takes one of its own.
    let path = arguments.template.one_template().unwrap_or("");
    let evaluation = LocalEvaluation::new(Arc::new(Factories::builtin()));
    let request = request::of(&arguments.template, path);
    let template =
        if path.is_empty() { Ok(Template::of_request(&request)) } else { evaluation.read(&request) };
    let template = match template {
        Ok(template) => template,
        Err(found) => {
            diagnostic::show(screen, &found, &evaluation.sources());
            return Ended::Failed;
        }
    };
    let console = data_desk::answered(&evaluation.factories(), |answers| {
        match evaluation.console(&template, &request, answers) {
            Opened::Ready(console) => Round::Done(console),
            Opened::NeedsData(queries) => Round::Ask(queries),
        }
    });
    let Some(console) = console else {
        screen.error("the template's data sources ask for ever more");
        return Ended::Failed;
    };
    let desk = Desk { console, evaluation, screen };
    match screen.somebody_is_there() {
        true => terminal::converse(&desk),
        false => piped::answer_all(&desk, std::io::stdin().lock()),
    }
}

/// What both kinds of conversation stand on.
struct Desk<'a> {
    console: Console,
    evaluation: LocalEvaluation,
    screen: &'a Screen,
}

impl Desk<'_> {
    /// Shows what is wrong with a line.
    fn complain(&self, line: &str, found: &Diagnostics) {
        let mut sources = self.evaluation.sources();
        sources.add(SourceFile::new(CONSOLE_INPUT, line.trim()));
        diagnostic::show(self.screen, found, &sources);
    }
}
