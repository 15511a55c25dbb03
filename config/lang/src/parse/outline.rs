//! The rough shape of a text: strings, comments and brackets, and where each argument or block begins and ends.
//!
//! The parser crate stops at its first error and often can't say where it was. This scanner knows less and
//! never stops: it finds what is unclosed or out of place with its exact position, and cuts a body into items,
//! so that the sound ones can still be parsed when another is not.
//!
//! ```text
//!            "             ${  %{            <<MARKER
//!   code ────────► quote ────────► sequence ────────► heredoc
//!    ▲   ◄────────       ◄──────── (code)   ◄────────
//!    └─ { [ ( nest; a newline outside all of them ends an item
//! ```

mod text;

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::span::Span;

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) items: Vec<Item>,
    /// What is unclosed or out of place.
    pub(super) diagnostics: Diagnostics,
    /// The insides of `${…}` and `%{…}`, innermost first.
    pub(super) sequences: Vec<SequenceRange>,
    /// The brackets that are open at the end.
    pub(super) open: Vec<(char, usize)>,
    /// Line ends and line comments that separate nothing, within directives and for-expressions.
    pub(super) blanks: Vec<Range<usize>>,
    /// Just inside the last text that can still be looked into, where more of them enclose each other and never end.
    pub(super) tangle: Option<usize>,
}

/// How many texts that never end may enclose each other: the parser crate tries each twice, so that every further one
/// doubles its work.
const UNENDING_TEXTS: usize = 6;

/// The inside of one `${…}` or `%{…}`, without strip markers.
#[derive(Clone, Debug)]
pub(super) struct SequenceRange {
    pub(super) inside: Range<usize>,
    pub(super) directive: bool,
}

/// One argument or block of a body.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) range: Range<usize>,
    /// What the braces enclose, if it is a block.
    pub(super) body: Option<Range<usize>>,
    /// Whether something in it has been complained about.
    pub(super) broken: bool,
}

/// Scans `range` of `text` as a body.
pub(super) fn scan(text: &str, file: &Arc<str>, range: Range<usize>) -> Outline {
    let outline = Scanner::new(text, file, range.clone(), false).run();
    if outline.open.is_empty() {
        return outline;
    }
    // Something is unclosed: take each line that looks like the header of a top-level block for one.
    Scanner::new(text, file, range, true).run()
}

/// The line ends and comments in `text`, a body or an expression, that separate nothing.
pub(super) fn blanks(text: &str) -> Vec<Range<usize>> {
    Scanner::new(text, &"".into(), 0..text.len(), false).run().blanks
}

/// Where the parser crate must stop reading `text`, a body or an expression; see [`Outline::tangle`].
pub(super) fn tangle(text: &str) -> Option<usize> {
    Scanner::new(text, &"".into(), 0..text.len(), false).run().tangle
}

/// The innermost bracket that is open at the end of `range`.
pub(super) fn innermost_open(text: &str, file: &Arc<str>, range: Range<usize>) -> Option<(char, usize)> {
    Scanner::new(text, file, range, false).run().open.first().copied()
}

#[derive(Debug)]
enum Frame {
    /// `each`: it opens a for-expression.
    Bracket {
        open: char,
        at: usize,
        each: bool,
    },
    Quote {
        at: usize,
    },
    Sequence {
        at: usize,
        directive: bool,
    },
    Heredoc {
        at: usize,
        marker: String,
    },
}

#[derive(Debug)]
struct Draft {
    start: usize,
    block: Option<usize>,
    body: Option<Range<usize>>,
    assigned: bool,
    broken: bool,
}

struct Scanner<'t> {
    text: &'t str,
    file: &'t Arc<str>,
    end: usize,
    pos: usize,
    frames: Vec<Frame>,
    item: Option<Draft>,
    resync: bool,
    /// An opening brace whose closing one stands further left: probably the one that is missing its own.
    suspect: Option<usize>,
    outline: Outline,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str, file: &'t Arc<str>, range: Range<usize>, resync: bool) -> Self {
        Self {
            text,
            file,
            end: range.end,
            pos: range.start,
            frames: Vec::new(),
            item: None,
            resync,
            suspect: None,
            outline: Outline::default(),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.pos..self.end).unwrap_or_default()
    }

    fn run(mut self) -> Outline {
        while let Some(c) = self.rest().chars().next() {
            match self.frames.last() {
                Some(Frame::Quote { .. }) => self.in_quote(c),
                Some(Frame::Heredoc { .. }) => self.in_heredoc(c),
                _ => self.in_code(c),
            }
        }
        self.close_all();
        self.finish_item();
        self.outline
    }

    fn report(&mut self, range: Range<usize>, summary: &str, detail: &str, hint: Option<&str>) {
        let mut diagnostic =
            Diagnostic::error(summary, detail).at(Span::new(self.file.clone(), range.start, range.end));
        diagnostic.hint = hint.map(str::to_owned);
        self.outline.diagnostics.push(diagnostic);
        if let Some(item) = &mut self.item {
            item.broken = true;
        }
    }

    fn begin_item(&mut self) {
        let start = self.pos;
        self.item.get_or_insert(Draft { start, block: None, body: None, assigned: false, broken: false });
    }

    fn finish_item(&mut self) {
        let Some(draft) = self.item.take() else { return };
        let end = self.pos.min(self.end);
        let unclosed = draft.block.map(|open| open + 1..end);
        let body = draft.body.or(unclosed);
        self.outline.items.push(Item { range: draft.start..end, body, broken: draft.broken });
    }

    fn in_code(&mut self, c: char) {
        let rest = self.rest();
        match c {
            '\n' => self.newline(),
            ' ' | '\t' | '\r' => self.pos += 1,
            '#' => self.line_comment(),
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => self.block_comment(),
            c => {
                self.begin_item();
                self.token(c);
            }
        }
    }

    fn line_comment(&mut self) {
        let start = self.pos;
        self.pos += self.rest().find('\n').unwrap_or(self.rest().len());
        if self.is_one_line() {
            self.outline.blanks.push(start..self.pos);
        }
    }

    /// Whether line ends mean nothing here although the parser crate takes them for something.
    fn is_one_line(&self) -> bool {
        match self.frames.last() {
            Some(Frame::Sequence { directive, .. }) => *directive,
            Some(Frame::Bracket { each, .. }) => *each,
            _ => false,
        }
    }

    fn newline(&mut self) {
        if self.frames.is_empty() {
            self.finish_item();
        } else if self.is_one_line() {
            self.outline.blanks.push(self.pos..self.pos + 1);
        }
        self.pos += 1;
        let may_resync = self.resync && !self.frames.is_empty() && is_header(self.rest());
        if may_resync && self.frames.iter().all(|f| matches!(f, Frame::Bracket { .. })) {
            self.close_all();
            self.finish_item();
        }
    }

    fn block_comment(&mut self) {
        match self.rest().find("*/") {
            Some(length) => self.pos += length + 2,
            None => {
                let at = self.pos;
                self.begin_item();
                self.report(at..at + 2, "Unterminated comment", "There is no */ after this /*.", None);
                self.pos = self.end;
            }
        }
    }

    fn token(&mut self, c: char) {
        let at = self.pos;
        match c {
            '"' => self.push(Frame::Quote { at }, 1),
            '{' | '[' | '(' => {
                if let Some(item) = &mut self.item
                    && c == '{'
                    && self.frames.is_empty()
                    && !item.assigned
                    && item.block.is_none()
                {
                    item.block = Some(at);
                }
                let each = c != '(' && begins_for(&self.rest()[1..]);
                self.push(Frame::Bracket { open: c, at, each }, 1);
            }
            '}' | ']' | ')' => self.close(c),
            '~' if self.rest().starts_with("~}") && self.is_in_sequence() => {
                self.pos += 1;
                self.end_sequence(at);
            }
            '<' if self.rest().starts_with("<<") => self.heredoc(),
            '=' => {
                if let Some(item) = &mut self.item
                    && self.frames.is_empty()
                {
                    item.assigned = true;
                }
                self.pos += 1;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let length = self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
                self.pos += length.unwrap_or(self.rest().len());
            }
            '.' | ',' | ':' | '?' | '!' | '>' | '<' | '+' | '-' | '*' | '/' | '%' => self.pos += 1,
            '&' | '|' if self.rest()[1..].starts_with(c) => self.pos += 2,
            c => self.stray(c),
        }
    }

    fn push(&mut self, frame: Frame, length: usize) {
        self.frames.push(frame);
        self.pos += length;
    }

    fn is_in_sequence(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Sequence { .. }))
    }

    /// A character that no expression can have.
    fn stray(&mut self, c: char) {
        let at = self.pos;
        let line = self.rest().split('\n').next().unwrap_or_default();
        let (length, detail, hint) = match c {
            '\'' => {
                let length = line[1..].find('\'').map_or(1, |i| i + 2);
                (length, "Single quotes do not enclose text.".to_owned(), "use double quotes: \"…\"")
            }
            '“' | '”' | '„' => (
                c.len_utf8(),
                format!("The typographic quote {c} does not enclose text."),
                "use straight double quotes: \"…\"",
            ),
            ';' => (
                1,
                "A semicolon ends nothing here.".to_owned(),
                "put each argument on a line of its own; separate list items with commas",
            ),
            '&' => (1, "There is no operator &.".to_owned(), "the logical AND is &&"),
            '|' => (1, "There is no operator |.".to_owned(), "the logical OR is ||"),
            '^' => (1, "There is no operator ^.".to_owned(), "for powers use the function pow"),
            '$' => (
                1,
                "An interpolation can stand only inside quotes or a heredoc.".to_owned(),
                "write the expression without ${ }, or put it between double quotes",
            ),
            c if c.is_whitespace() => (
                c.len_utf8(),
                format!("The character U+{:04X} looks like a space but is none.", u32::from(c)),
                "replace it with a plain space",
            ),
            c => (c.len_utf8(), format!("The character {c:?} has no meaning here."), ""),
        };
        let summary = if matches!(c, '&' | '|' | '^') { "Unsupported operator" } else { "Invalid character" };
        self.report(at..at + length, summary, &detail, (!hint.is_empty()).then_some(hint));
        self.pos += length;
    }

    fn close(&mut self, c: char) {
        if c == '}' && self.is_in_sequence() {
            let at = self.pos;
            self.end_sequence(at);
            return;
        }
        let wanted = opener(c);
        let matching = self.matching(wanted);
        let at = self.pos;
        let Some(matching) = matching else {
            self.unexpected_closer(c);
            return;
        };
        while self.frames.len() > matching + 1 {
            if let Some(Frame::Bracket { open, at: opened, .. }) = self.frames.pop() {
                let detail = format!("This {open} has no matching {}; a {c} comes first.", closer(open));
                self.report(opened..opened + 1, unclosed(open), &detail, None);
            }
        }
        self.pos += 1;
        if let Some(Frame::Bracket { at: opened, .. }) = self.frames.pop() {
            if c == '}' && self.indentation(at).is_some_and(|i| i < self.line_indentation(opened)) {
                self.suspect.get_or_insert(opened);
            }
            if let Some(item) = &mut self.item
                && self.frames.is_empty()
                && item.block == Some(opened)
            {
                item.body = Some(opened + 1..at);
            }
        }
    }

    /// The innermost open bracket of that kind, not looking beyond quotes.
    fn matching(&self, wanted: char) -> Option<usize> {
        for (i, frame) in self.frames.iter().enumerate().rev() {
            match frame {
                Frame::Bracket { open, .. } if *open == wanted => return Some(i),
                Frame::Bracket { .. } => {}
                _ => return None,
            }
        }
        None
    }

    fn unexpected_closer(&mut self, c: char) {
        let at = self.pos;
        let detail = format!("This {c} closes nothing.");
        let hint = "remove it, or look for an opening bracket that is missing above";
        let summary = if c == '}' && self.frames.is_empty() {
            "Argument or block definition required"
        } else {
            "Unexpected closing bracket"
        };
        self.report(at..at + 1, summary, &detail, Some(hint));
        self.pos += 1;
    }

    fn end_sequence(&mut self, inside_end: usize) {
        self.pos += 1;
        if let Some(Frame::Sequence { at, directive }) = self.frames.pop() {
            let strip = usize::from(self.text[at + 2..].starts_with('~'));
            let inside = at + 2 + strip..inside_end.max(at + 2 + strip);
            self.outline.sequences.push(SequenceRange { inside, directive });
        }
    }

    /// The indentation of the line of `at`, in bytes.
    fn line_indentation(&self, at: usize) -> usize {
        let start = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line = &self.text[start..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// The same, if only white space stands before `at` in its line.
    fn indentation(&self, at: usize) -> Option<usize> {
        let start = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        self.text[start..at].trim().is_empty().then_some(at - start)
    }

    /// Complains about the brackets that are open, once.
    /// Before open texts are given up.
    fn note_tangle(&mut self) {
        let texts = self.frames.iter().filter_map(|frame| match frame {
            Frame::Quote { at } => Some(at + 1),
            Frame::Heredoc { at, .. } => Some(at + 2),
            Frame::Bracket { .. } | Frame::Sequence { .. } => None,
        });
        if let Some(inside) = texts.take(UNENDING_TEXTS + 1).nth(UNENDING_TEXTS) {
            let known = self.outline.tangle.unwrap_or(inside);
            self.outline.tangle = Some(known.min(inside));
        }
    }

    fn close_all(&mut self) {
        self.note_tangle();
        let mut innermost = None;
        let mut brackets = Vec::new();
        while let Some(frame) = self.frames.pop() {
            if let Frame::Bracket { open, at, .. } = frame {
                brackets.push((open, at));
            } else if innermost.is_none() {
                innermost = Some(frame);
                continue;
            }
        }
        let outermost = brackets.last().copied();
        self.outline.open.extend(brackets);
        match (innermost, outermost) {
            (Some(Frame::Heredoc { at, marker }), _) => {
                self.outline.open.push(('<', at));
                let detail = format!("No line below consists of the closing word {marker} alone.");
                let hint = format!("put {marker} on a line of its own after the text");
                self.report(at..at + 2 + marker.len(), "Unterminated heredoc", &detail, Some(&hint));
            }
            (Some(Frame::Sequence { at, .. }), _) => self.report(
                at..at + 2,
                "Unclosed template interpolation sequence",
                "There is no closing brace for this sequence.",
                Some("add the missing }"),
            ),
            (Some(Frame::Quote { at }), _) => self.report(
                at..at + 1,
                "Unterminated template string",
                "There is no closing quote for this text.",
                Some("add the missing closing quote"),
            ),
            (_, Some((open, at))) => {
                let at = self.suspect.take().unwrap_or(at);
                let detail = format!("There is no {} for this {open}.", closer(open));
                let hint = format!("add the missing {}", closer(open));
                self.report(at..at + 1, unclosed(open), &detail, Some(&hint));
            }
            _ => {}
        }
    }
}

/// Whether what follows a bracket makes it a for-expression.
fn begins_for(text: &str) -> bool {
    text.trim_start()
        .strip_prefix("for")
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\n', '\r', '#', '/']))
}

fn opener(c: char) -> char {
    match c {
        '}' => '{',
        ']' => '[',
        _ => '(',
    }
}

fn closer(c: char) -> char {
    match c {
        '{' => '}',
        '[' => ']',
        _ => ')',
    }
}

fn unclosed(open: char) -> &'static str {
    match open {
        '{' => "Unclosed configuration block",
        '[' => "Unclosed bracket",
        _ => "Unbalanced parentheses",
    }
}

/// Whether the line looks like `kind "label" {` from its first column on.
fn is_header(rest: &str) -> bool {
    let line = rest.split('\n').next().unwrap_or_default();
    let Some(head) = line.trim_end().strip_suffix('{') else { return false };
    let starts_word = line.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts_word
        && head.split_whitespace().enumerate().all(|(i, word)| {
            let word = if i > 0 { word.trim_matches('"') } else { word };
            word.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c))
        })
}
