//! A template that answers one line at a time: the core of `console`.
//!
//! As for `inspect`, whatever can be evaluated is there although something else in the template may be wrong. Lines
//! don't change anything, so each is answered as if it were the only one.

mod completion;
mod hcl2;
mod legacy;

use kiln_lang::{Diagnostics, SourceFile};

use super::Inputs;
use crate::data_source::DataQuery;
use crate::template::{Content, Template};
pub use completion::Completion;

/// What diagnostics call the line that was typed.
pub const INPUT: &str = "<console-input>";

/// The words that aren't evaluated.
const WORDS: [&str; 3] = ["exit", "help", "variables"];

/// A template to ask.
#[derive(Debug)]
pub struct Console {
    session: Session,
}

#[derive(Debug)]
enum Session {
    /// Lines are expressions.
    Hcl2(Box<hcl2::Session>),
    /// Lines are texts with actions.
    Legacy(Box<legacy::Session>),
}

/// What a line is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// This text; empty for an empty line.
    Text(String),
    /// Nothing more: the person wants to leave.
    Leave,
    /// What is wrong with the line, in a file of the name [`INPUT`].
    Wrong(Diagnostics),
}

/// How opening a console ends.
#[derive(Debug)]
pub enum Opened {
    /// These questions must be answered first. More may come once they are.
    NeedsData(Vec<DataQuery>),
    /// It can be asked.
    Ready(Console),
}

impl Console {
    /// Evaluates what of the template lines can refer to.
    pub fn open(template: &Template, inputs: Inputs<'_>) -> Opened {
        let session = match &template.content {
            Content::Hcl2 { document, assignments } => {
                match hcl2::Session::open(document, assignments, &template.root, inputs) {
                    Ok(session) => Session::Hcl2(Box::new(session)),
                    Err(queries) => return Opened::NeedsData(queries),
                }
            }
            Content::Legacy { document, given } => {
                Session::Legacy(Box::new(legacy::Session::open(document, given, &template.root, inputs)))
            }
        };
        Opened::Ready(Self { session })
    }

    /// Answers a line. White space around it doesn't count.
    pub fn answer(&self, line: &str) -> Answer {
        let line = line.trim();
        match (line, &self.session) {
            ("", _) => Answer::Text(String::new()),
            ("exit", _) => Answer::Leave,
            ("help", Session::Hcl2(_)) => Answer::Text(hcl2::HELP.to_owned()),
            ("help", Session::Legacy(_)) => Answer::Text(legacy::HELP.to_owned()),
            ("variables", Session::Hcl2(session)) => Answer::Text(session.variables()),
            ("variables", Session::Legacy(session)) => Answer::Text(session.variables()),
            (line, session) => {
                let answer = match session {
                    Session::Hcl2(session) => session.evaluate(&SourceFile::new(INPUT, line)),
                    Session::Legacy(session) => session.render(line),
                };
                answer.map_or_else(Answer::Wrong, Answer::Text)
            }
        }
    }

    /// What the line may go on with at byte `at`.
    pub fn complete(&self, line: &str, at: usize) -> Completion {
        let before = line.get(..at).unwrap_or(line);
        match &self.session {
            Session::Hcl2(session) => completion::hcl2(before, session.scope()),
            Session::Legacy(session) => completion::legacy(before, session.names()),
        }
    }
}
