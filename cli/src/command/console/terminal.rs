//! A conversation on a terminal: a prompt, what was typed before, completion with Tab.
//!
//! What was typed is remembered while the console runs and nowhere else: it may name secrets.

use std::cell::Cell;

use kiln_config::{Answer, Console};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::Desk;
use crate::exit_code::Ended;

const PROMPT: &str = "> ";

/// Answers lines until the person leaves: with `exit`, the end of input, or Control-C on an empty line.
pub(super) fn converse(desk: &Desk<'_>) -> Ended {
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
    let history = MemHistory::with_config(&config);
    let mut editor = match Editor::with_history(config, history) {
        Ok(editor) => editor,
        Err(error) => return failed(desk, &error),
    };
    editor.set_helper(Some(Lines { console: &desk.console, is_empty: Cell::new(true) }));
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) if editor.helper().is_some_and(|h| !h.is_empty.get()) => continue,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ended::Well,
            Err(error) => return failed(desk, &error),
        };
        match desk.console.answer(&line) {
            Answer::Text(text) if text.is_empty() => {}
            Answer::Text(text) => desk.screen.say(&text),
            Answer::Leave => return Ended::Well,
            Answer::Wrong(found) => desk.complain(&line, &found),
        }
    }
}

fn failed(desk: &Desk<'_>, error: &ReadlineError) -> Ended {
    desk.screen.error(&format!("cannot read from the terminal: {error}"));
    Ended::Failed
}

/// What the editor asks about a line.
struct Lines<'a> {
    console: &'a Console,
    /// Whether nothing stands on the line. The editor doesn't say so when it is interrupted, but shows each state of the
    /// line to the hinter.
    is_empty: Cell<bool>,
}

impl Completer for Lines<'_> {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let completion = self.console.complete(line, at);
        Ok((completion.from, completion.words))
    }
}

impl Hinter for Lines<'_> {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

impl Highlighter for Lines<'_> {}
impl Validator for Lines<'_> {}
impl Helper for Lines<'_> {}
