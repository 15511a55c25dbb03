//! From the parser crate's "unexpected token" to what was found, what was expected, and what to do.

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::parser::{self, Error};

use super::lenient;
use super::outline::{self, Outline, SequenceRange};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// What is wrong with an argument or block whose text is `range`.
pub(super) fn item(text: &str, file: &Arc<str>, range: Range<usize>, error: &Error) -> Diagnostic {
    let place = Place::new(text, file, range, error).after_backtracking();
    place.in_sequence().or_else(|| place.by_message(error)).unwrap_or_else(|| place.in_item())
}

/// What is wrong with a text that should be an expression.
pub(super) fn expression(text: &str, file: &Arc<str>, range: Range<usize>, error: &Error) -> Diagnostic {
    let place = Place::new(text, file, range, error);
    place.in_sequence().or_else(|| place.by_message(error)).unwrap_or_else(|| place.in_expression())
}

/// What is wrong with a text that should be a template.
pub(super) fn template(text: &str, file: &Arc<str>, error: &Error) -> Diagnostic {
    // Between quotes it is scanned for sequences; a quote or line end in it must not end it.
    let place = Place::new(text, file, 0..text.len(), error);
    let sequences = template_sequences(text);
    place
        .first_bad_sequence(&sequences)
        .or_else(|| place.by_message(error))
        .unwrap_or_else(|| place.error(place.at, "Invalid template", "The template breaks off here."))
}

/// Around a bare template, so that it can be scanned.
const OPEN: &str = "x = <<kiln_template_end\n";

fn outline_of_template(text: &str) -> Outline {
    let wrapped = format!("{OPEN}{text}\nkiln_template_end\n");
    let file: Arc<str> = "".into();
    outline::scan(&wrapped, &file, 0..wrapped.len())
}

/// What is wrong with a template in which texts enclose each other and never end: the parser crate would lose itself in
/// them. Found through a heredoc around it, which is the first of the texts that don't end.
pub(super) fn tangle_of_template(text: &str, file: &Arc<str>) -> Option<Diagnostic> {
    let at = outline_of_template(text).tangle?.checked_sub(OPEN.len() + 1)?;
    let detail =
        "Here quoted text begins within a sequence within quoted text, and so on, and none of it ends.";
    let span = Span::new(file.clone(), at, at + 1);
    Some(
        Diagnostic::error("Invalid template", detail)
            .at(span)
            .hint("close each sequence with } and each text with \""),
    )
}

/// The insides of `${…}` and `%{…}` of a bare template, found through a heredoc around it.
fn template_sequences(text: &str) -> Vec<SequenceRange> {
    let shift = |s: SequenceRange| {
        let start = s.inside.start.checked_sub(OPEN.len())?;
        let end = s.inside.end.checked_sub(OPEN.len()).filter(|end| *end <= text.len())?;
        Some(SequenceRange { inside: start..end, directive: s.directive })
    };
    outline_of_template(text).sequences.into_iter().filter_map(shift).collect()
}

/// The last boundary between characters at or before `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Place<'t> {
    text: &'t str,
    file: &'t Arc<str>,
    range: Range<usize>,
    /// Where the parser crate gave up.
    at: usize,
}

impl<'t> Place<'t> {
    fn new(text: &'t str, file: &'t Arc<str>, range: Range<usize>, error: &Error) -> Self {
        // It may name a byte within a character.
        let mut at = floor(text, (range.start + error.location().offset()).min(range.end));
        // At the end of its input the parser crate names the last character, but counts a column more.
        if error.location().column() > error.line().chars().count()
            && text[at..range.end].chars().count() <= 1
        {
            at = range.end;
        }
        let gap = text[at..range.end].len() - text[at..range.end].trim_start_matches([' ', '\t']).len();
        Self { text, file, range, at: at + gap }
    }

    /// The parser crate goes back to the name of an argument when nothing of its expression can be read. The
    /// expression alone tells more.
    fn after_backtracking(mut self) -> Self {
        if self.at != self.range.start {
            return self;
        }
        let item = &self.text[self.range.clone()];
        let name = self.token(self.at);
        let Some(rest) = item[name.len()..].trim_start().strip_prefix('=').filter(|_| !name.is_empty())
        else {
            return self;
        };
        let start = self.range.end - rest.trim_start().len();
        if let Err(error) = lenient::parse_unsound(&self.text[start..self.range.end], parser::parse_expr).0 {
            self.at = Place::new(self.text, self.file, start..self.range.end, &error).at;
        }
        self
    }

    fn error(&self, at: usize, summary: &str, detail: &str) -> Diagnostic {
        let length = self.token(at).len();
        Diagnostic::error(summary, detail).at(Span::new(self.file.clone(), at, at + length))
    }

    /// The word or character at `at`.
    fn token(&self, at: usize) -> &'t str {
        let rest = self.text.get(at..self.range.end).unwrap_or_default();
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
        &rest[..length]
    }

    fn found(&self) -> String {
        match self.token(self.at) {
            "" if self.text[self.at..].is_empty() => "the end of the text".to_owned(),
            "" | "\n" | "\r" => "the end of the line".to_owned(),
            "\"" => "quoted text".to_owned(),
            token => format!("`{token}`"),
        }
    }

    fn before(&self) -> &'t str {
        self.text[self.range.start..self.at].trim_end()
    }

    /// Errors within `${…}` reach us as errors of the whole string, so each sequence is tried by itself.
    fn in_sequence(&self) -> Option<Diagnostic> {
        let outline = outline::scan(self.text, self.file, self.range.clone());
        self.first_bad_sequence(&outline.sequences)
    }

    fn first_bad_sequence(&self, sequences: &[SequenceRange]) -> Option<Diagnostic> {
        let bad = sequences.iter().find_map(|sequence| match sequence.directive {
            true => self.bad_directive(sequence.inside.clone()),
            false => self.bad_interpolation(sequence.inside.clone()),
        });
        bad.or_else(|| self.unbalanced(sequences))
    }

    fn bad_interpolation(&self, inside: Range<usize>) -> Option<Diagnostic> {
        let inside = self.trimmed(inside);
        if inside.is_empty() {
            let detail = "An expression was expected between the braces.";
            return Some(self.error(inside.start, "Invalid expression", detail));
        }
        // Line breaks are allowed between the braces, hence the parentheses.
        let text = format!("({})", &self.text[inside.clone()]);
        let error = lenient::parse_unsound(&text, parser::parse_expr).0.err()?;
        let inner = Place::new(self.text, self.file, inside.clone(), &error);
        let at = (inside.start + error.location().offset().saturating_sub(1)).min(inside.end);
        let inner = Place { at: inner.sharpened(at), ..inner };
        Some(inner.by_message(&error).unwrap_or_else(|| inner.in_expression()))
    }

    /// The next place from `at` on that isn't white space.
    fn sharpened(&self, at: usize) -> usize {
        let at = floor(self.text, at);
        let rest = &self.text[at..self.range.end];
        at + rest.len() - rest.trim_start().len()
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.text[range.clone()];
        let start = range.start + text.len() - text.trim_start().len();
        start..(start + text.trim().len()).max(start)
    }

    fn bad_directive(&self, inside: Range<usize>) -> Option<Diagnostic> {
        let inside = self.trimmed(inside);
        let word = self.token(inside.start);
        let rest = inside.start + word.len()..inside.end;
        match word {
            "else" | "endif" | "endfor" if self.trimmed(rest.clone()).is_empty() => None,
            "if" => self.bad_interpolation(rest),
            "for" => {
                let collection = self.text[rest.clone()].find(" in ")?;
                self.bad_interpolation(rest.start + collection + 4..rest.end)
            }
            _ => {
                let detail =
                    "A directive is one of if, else, endif, for, endfor. For a literal %{ write %%{.";
                Some(self.error(inside.start, "Invalid template directive", detail))
            }
        }
    }

    fn unbalanced(&self, sequences: &[SequenceRange]) -> Option<Diagnostic> {
        let mut directives: Vec<_> = sequences.iter().filter(|s| s.directive).collect();
        directives.sort_by_key(|s| s.inside.start);
        let mut open: Vec<(&str, usize)> = Vec::new();
        for directive in directives {
            let at = self.trimmed(directive.inside.clone()).start;
            let word = self.token(at);
            let wanted = match word {
                "endif" | "else" => "if",
                "endfor" => "for",
                _ => {
                    open.push((word, at));
                    continue;
                }
            };
            if open.last().is_none_or(|(opener, _)| *opener != wanted) {
                let detail = format!("There is no open {wanted} directive that this {word} could belong to.");
                return Some(self.error(at, &format!("Unexpected {word} directive"), &detail));
            }
            if word != "else" {
                open.pop();
            }
        }
        let (word, at) = open.pop()?;
        let detail = format!("This {word} directive has no end{word}.");
        Some(self.error(at, "Unexpected end of template", &detail))
    }

    /// What the parser crate says clearly.
    fn by_message(&self, error: &Error) -> Option<Diagnostic> {
        let message = error.message();
        let says = |words: &str| message.contains(words);
        if says("nested levels") || says("nesting depth") {
            let detail = "Expressions and blocks can be nested at most 64 levels deep.";
            return Some(self.error(self.at, "Nesting too deep", detail));
        }
        if says("redefined object key") {
            let detail = "This key occurs more than a hundred times too often.";
            return Some(self.error(self.at, "Duplicate object key", detail));
        }
        if says("chained binary operators") {
            let detail = "At most 128 operators can be chained in one expression.";
            return Some(self.error(self.at, "Expression too long", detail));
        }
        if says("escape sequence") || says("unicode") {
            let start = self.text[self.range.start..self.at].rfind('\\').map(|i| self.range.start + i);
            let detail = "A backslash in quoted text must be followed by n, r, t, \", \\, or by u and four or U \
                          and eight hexadecimal digits.";
            let at = start.unwrap_or(self.at);
            return Some(
                self.error(at, "Invalid escape sequence", detail).hint("for a backslash write \\\\"),
            );
        }
        None
    }

    fn in_item(&self) -> Diagnostic {
        if let Some(open) = outline::innermost_open(self.text, self.file, self.range.start..self.at) {
            return self.in_bracket(open);
        }
        let before = self.before();
        let assigned = before.contains('=');
        let found = self.found();
        if before.is_empty() && self.token(self.at).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            let name = self.token(self.at);
            let detail = format!(
                "The name {name:?} stands alone: after it an equals sign (argument) or an opening brace (block) was expected."
            );
            return self.error(self.at, "Argument or block definition required", &detail);
        }
        if before.is_empty() {
            let detail = format!("An argument or a block begins with a name, but {found} was found.");
            return self.error(self.at, "Argument or block definition required", &detail);
        }
        if assigned {
            return match self.expects_operand() {
                true => self.operand_missing(),
                false if self.breaks_off() => self.broken_off(),
                false => {
                    let detail = format!("The argument is complete, but {found} follows on the same line.");
                    self.error(self.at, "Missing newline after argument", &detail)
                        .hint("put each argument on a line of its own; enclose text in double quotes")
                }
            };
        }
        let name = before.split_whitespace().next().unwrap_or_default();
        if matches!(self.token(self.at), ":") {
            let detail =
                format!("After the name {name:?} an equals sign was expected, but {found} was found.");
            return self
                .error(self.at, "Argument or block definition required", &detail)
                .hint(format!("write {name} = …"));
        }
        let detail = format!(
            "After {before:?} an equals sign (argument) or an opening brace (block) was expected on the same \
             line, but {found} was found."
        );
        let one_word = !before.contains(char::is_whitespace);
        let summary =
            if one_word { "Argument or block definition required" } else { "Invalid block definition" };
        self.error(self.at, summary, &detail)
    }

    /// Whether an expression should begin here.
    fn expects_operand(&self) -> bool {
        let before = self.before();
        before
            .ends_with(['=', '+', '-', '*', '/', '%', '<', '>', '!', '?', ':', '&', '|', ',', '[', '(', '.'])
            || (before.ends_with('{'))
    }

    fn operand_missing(&self) -> Diagnostic {
        let found = self.found();
        let mut diagnostic = self.error(
            self.at,
            "Invalid expression",
            &format!("The start of an expression was expected, but {found} was found."),
        );
        if self.before().ends_with('=') && matches!(self.token(self.at), "\n" | "\r" | "") {
            diagnostic.hint = Some("put the value on the line of its name".to_owned());
        }
        diagnostic
    }

    fn in_expression(&self) -> Diagnostic {
        if let Some(open) = outline::innermost_open(self.text, self.file, self.range.start..self.at) {
            return self.in_bracket(open);
        }
        if self.before().is_empty() || self.expects_operand() {
            return self.operand_missing();
        }
        if self.breaks_off() {
            return self.broken_off();
        }
        let detail = format!("The expression is complete, but {} follows.", self.found());
        let diagnostic = self.error(self.at, "Extra characters after expression", &detail);
        if self.token(self.at) == "=" { diagnostic.hint("to compare write ==") } else { diagnostic }
    }

    /// Whether nothing follows, or a dot after which nothing sensible follows.
    fn breaks_off(&self) -> bool {
        matches!(self.token(self.at), "" | "\n" | "\r" | ".")
    }

    fn broken_off(&self) -> Diagnostic {
        if self.token(self.at) == "." {
            let detail = "After a dot the name of an attribute was expected.";
            return self.error(self.at, "Invalid attribute name", detail);
        }
        let diagnostic = self.error(self.at, "Invalid expression", "The expression breaks off here.");
        let undecided = self.before().contains('?') && !self.before().contains(':');
        if undecided { diagnostic.hint("write condition ? value : other value") } else { diagnostic }
    }

    fn in_bracket(&self, (bracket, opened): (char, usize)) -> Diagnostic {
        let found = self.found();
        let before = self.before();
        let first_word = self.text[opened + 1..].split_whitespace().next();
        if first_word == Some("for") && bracket != '(' && !self.expects_operand() {
            let form = if bracket == '[' {
                "[for item in list : value]"
            } else {
                "{for key, value in map : key => value}"
            };
            let detail = format!("A for-expression reads {form}, but {found} was found here.");
            return self.error(self.at, "Invalid 'for' expression", &detail);
        }
        if self.token(self.at) == "=" && bracket != '{' {
            return self
                .error(self.at, "Invalid expression", "An equals sign has no meaning here.")
                .hint("to compare write ==; arguments of functions have no names");
        }
        if self.token(self.at) == "." {
            return self.broken_off();
        }
        if self.expects_operand() && !before.ends_with(['{', ',']) {
            return self.operand_missing();
        }
        let (summary, detail) = match bracket {
            '[' => ("Missing item separator", format!("A comma or ] was expected, but {found} was found.")),
            '(' => {
                ("Missing argument separator", format!("A comma or ) was expected, but {found} was found."))
            }
            _ if matches!(self.token(self.at), "\n" | "\r" | "") || self.is_after_key() => (
                "Missing key/value separator",
                format!("After a key = or : was expected, but {found} was found."),
            ),
            _ => (
                "Missing attribute separator",
                format!("A comma, a new line or }} was expected, but {found} was found."),
            ),
        };
        self.error(self.at, summary, &detail)
    }

    /// Whether what stands before is a key that waits for its `=`.
    fn is_after_key(&self) -> bool {
        let before = self.before();
        let line = before.rsplit(['\n', ',', '{']).next().unwrap_or_default();
        !line.contains(['=', ':'])
    }
}
