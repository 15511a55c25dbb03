//! Where in which file: byte ranges, and the lines and columns that people read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A byte range of a named source text. `start <= end`, both within the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The file as the user named it (relative stays relative), or a pseudo file such as
    /// `<value for var.x from arguments>`.
    pub file: Arc<str>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A range of `file`.
    pub fn new(file: impl Into<Arc<str>>, start: usize, end: usize) -> Self {
        Self { file: file.into(), start, end: end.max(start) }
    }

    /// The smallest span that covers both, if they are of one file; `self` otherwise.
    #[must_use]
    pub fn to(&self, other: &Span) -> Span {
        if self.file != other.file {
            return self.clone();
        }
        Span { file: self.file.clone(), start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One source text with the offsets of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    name: Arc<str>,
    text: Arc<str>,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// Indexes the lines of `text`.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self { name: name.into(), text, line_starts }
    }

    /// The name the user gave.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The position of a byte offset; offsets past the end give the end.
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start..offset).map_or(1, |s| s.chars().count() + 1);
        Position { line, column }
    }

    /// The text of line `line` (from 1) without its line ending; empty when there is no such line.
    pub fn line(&self, line: usize) -> &str {
        let Some(start) = line.checked_sub(1).and_then(|i| self.line_starts.get(i)) else { return "" };
        let rest = &self.text[*start..];
        rest.split('\n').next().unwrap_or("").trim_end_matches('\r')
    }

    /// How many lines the text has; at least 1.
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }
}

/// The source texts that diagnostics point into.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a text; a later one of the same name replaces the earlier.
    pub fn add(&mut self, file: SourceFile) {
        self.files.retain(|f| f.name != file.name);
        self.files.push(file);
    }

    /// The text that a span points into, if it is known.
    pub fn get(&self, name: &str) -> Option<&SourceFile> {
        self.files.iter().find(|f| &*f.name == name)
    }

    /// All texts, in the order they were added.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let file = SourceFile::new("a.hcl", "ab\nüx\n");
        let at = |o| file.position(o);
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 1, column: 3 });
        assert_eq!(at(5), Position { line: 2, column: 2 });
        assert_eq!(at(99), Position { line: 3, column: 1 });
        assert_eq!(file.line(2), "üx");
        assert_eq!(file.line(9), "");
    }
}
