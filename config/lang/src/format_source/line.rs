//! Lines and their cells: how far each line is indented, and which columns stand below each other.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::token::{Kind, Token};

/// A line as ranges of tokens. What a line lacks is empty.
#[derive(Debug)]
pub(super) struct Line {
    /// Everything up to the other cells.
    pub(super) lead: Range<usize>,
    /// From the `=` on, when the whole value stands in this line.
    pub(super) assign: Range<usize>,
    /// A comment after something else.
    pub(super) comment: Range<usize>,
}

/// Cuts tokens into lines. Line ends within quotes and heredocs are text and end nothing.
pub(super) fn lines(tokens: &[Token<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (i, token) in tokens.iter().enumerate() {
        if token.ends_line() {
            lines.push(cells(tokens, start..i + 1));
            start = i + 1;
        }
    }
    if start < tokens.len() {
        lines.push(cells(tokens, start..tokens.len()));
    }
    lines
}

fn cells(tokens: &[Token<'_>], line: Range<usize>) -> Line {
    let has_comment = line.len() > 1 && tokens[line.end - 1].kind == Kind::Comment;
    let comment = line.end - usize::from(has_comment);
    let equal = (line.start + 1..comment).find(|i| tokens[*i].kind == Kind::Equal);
    // A value that goes on in the next lines is aligned with nothing.
    let assign = equal.filter(|i| depth(&tokens[*i..comment]) == 0).unwrap_or(comment);
    Line { lead: line.start..assign, assign: assign..comment, comment: comment..line.end }
}

/// How many brackets are opened more than closed.
fn depth(tokens: &[Token<'_>]) -> isize {
    tokens.iter().map(|t| t.kind.depth()).sum()
}

/// Sets the spaces before each line: two for every line above that opened more brackets than it closed, until they
/// are closed, however many they were.
pub(super) fn indent(tokens: &mut [Token<'_>], lines: &[Line]) {
    // For each such line, how many of its brackets are still open.
    let mut open: Vec<isize> = Vec::new();
    for line in lines {
        let first = line.lead.start;
        if tokens[first].kind == Kind::Newline {
            tokens[first].spaces = 0;
            continue;
        }
        let lead = &tokens[line.lead.clone()];
        let heredoc = lead.iter().position(|t| t.kind == Kind::OpenHeredoc).unwrap_or(lead.len());
        let change = depth(&lead[..heredoc]) + depth(&tokens[line.assign.clone()]);
        close(&mut open, -change);
        tokens[first].spaces = 2 * open.len();
        if change > 0 {
            open.push(change);
        }
    }
}

fn close(open: &mut Vec<isize>, mut count: isize) {
    while count > 0
        && let Some(last) = open.last_mut()
    {
        if count < *last {
            *last -= count;
            return;
        }
        count -= *last;
        open.pop();
    }
}

/// Puts the `=` of neighbouring lines below each other, then their comments.
pub(super) fn align(tokens: &mut [Token<'_>], lines: &[Line]) {
    for chain in lines.chunk_by(|a, b| a.assign.is_empty() == b.assign.is_empty()) {
        align_chain(tokens, chain, |line| (line.lead.clone(), line.assign.clone()));
    }
    for chain in lines.chunk_by(|a, b| a.comment.is_empty() == b.comment.is_empty()) {
        align_chain(tokens, chain, |line| (line.lead.start..line.assign.end, line.comment.clone()));
    }
}

/// Moves one cell of each line to the right of what stands before it in the widest line. `cells` gives both.
fn align_chain(
    tokens: &mut [Token<'_>],
    chain: &[Line],
    cells: impl Fn(&Line) -> (Range<usize>, Range<usize>),
) {
    if chain.first().is_none_or(|line| cells(line).1.is_empty()) {
        return;
    }
    let widths: Vec<usize> = chain.iter().map(|line| width(&tokens[cells(line).0])).collect();
    let widest = widths.iter().copied().max().unwrap_or(0);
    for (line, width) in chain.iter().zip(widths) {
        tokens[cells(line).1.start].spaces = widest - width + 1;
    }
}

/// The columns that tokens take: one for each character as people count them.
fn width(tokens: &[Token<'_>]) -> usize {
    let characters = |text: &str| match text.is_ascii() && !text.contains('\r') {
        true => text.len(),
        false => text.graphemes(true).count(),
    };
    tokens.iter().map(|t| t.spaces + characters(t.text)).sum()
}
