//! The HCL2 that comes out: a small tree, and its canonical layout.

use kiln_lang::format_value::quoted;

use crate::template::shape::is_identifier;

/// Longer lists stand on several lines, in characters.
const WIDTH: usize = 100;

/// What an attribute is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// The text of an expression.
    Code(String),
    /// A text with expressions in it.
    Text(Vec<Part>),
    /// `[…]`
    List(Vec<Expression>),
    /// `{…}`, with keys as they are written.
    Object(Vec<(String, Expression)>),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is.
    Text(String),
    /// `${…}`
    Code(String),
}

/// What stands in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `name = …`
    Attribute(String, Expression),
    /// `head { … }`
    Block(Block),
}

/// A block with the comments above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) comments: Vec<String>,
    /// Its type and labels as they are written.
    pub(super) head: String,
    pub(super) body: Vec<Item>,
}

impl Block {
    /// A block without labels.
    pub(super) fn new(kind: &str, body: Vec<Item>) -> Self {
        Self { comments: Vec::new(), head: kind.to_owned(), body }
    }

    /// A block with labels.
    pub(super) fn labelled(kind: &str, labels: &[&str], body: Vec<Item>) -> Self {
        let head = labels.iter().fold(kind.to_owned(), |head, label| format!("{head} {}", quoted(label)));
        Self { comments: Vec::new(), head, body }
    }

    /// The same with a comment above.
    #[must_use]
    pub(super) fn commented(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }
}

impl Item {
    /// `name = …`
    pub(super) fn attribute(name: &str, value: Expression) -> Self {
        Self::Attribute(name.to_owned(), value)
    }

    /// What it is sorted by.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Attribute(name, _) => name,
            Self::Block(block) => &block.head,
        }
    }
}

impl Expression {
    /// A text without expressions in it.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(vec![Part::Text(text.to_owned())])
    }

    /// The text of the expression, for use inside another; on one line.
    pub(super) fn code(&self) -> String {
        match self {
            Self::Code(code) => code.clone(),
            Self::Text(parts) => text_of(parts),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Expression::code).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Object(entries) => {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{k} = {}", v.code())).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    fn has_lines(&self) -> bool {
        match self {
            Self::Code(_) | Self::Text(_) => false,
            Self::List(items) => {
                items.iter().any(Expression::has_lines) || self.code().chars().count() > WIDTH
            }
            Self::Object(entries) => !entries.is_empty(),
        }
    }

    fn write(&self, indent: usize, out: &mut String) {
        if !self.has_lines() {
            out.push_str(&self.code());
            return;
        }
        match self {
            Self::List(items) => {
                out.push_str("[\n");
                for item in items {
                    pad(indent + 2, out);
                    item.write(indent + 2, out);
                    out.push_str(",\n");
                }
                pad(indent, out);
                out.push(']');
            }
            Self::Object(entries) => {
                out.push_str("{\n");
                let lines: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
                write_aligned(&lines, indent + 2, out);
                pad(indent, out);
                out.push('}');
            }
            Self::Code(_) | Self::Text(_) => {}
        }
    }
}

/// A text as the template writes it.
fn text_of(parts: &[Part]) -> String {
    let mut out = String::from("\"");
    for (i, part) in parts.iter().enumerate() {
        match part {
            Part::Code(code) => out.push_str(&format!("${{{code}}}")),
            Part::Text(text) => {
                // Dollars before an interpolation would escape it.
                let before_code = matches!(parts.get(i + 1), Some(Part::Code(_)));
                let plain = if before_code { text.trim_end_matches('$') } else { text.as_str() };
                let written = quoted(plain);
                out.push_str(&written[1..written.len() - 1]);
                if plain.len() < text.len() {
                    out.push_str(&format!("${{\"{}\"}}", &text[plain.len()..]));
                }
            }
        }
    }
    out.push('"');
    out
}

/// A key of an object as it is written.
pub(super) fn key(text: &str) -> String {
    let plain = is_identifier(text) && text.is_ascii() && text != "for";
    if plain { text.to_owned() } else { quoted(text) }
}

/// The whole file.
pub(super) fn file(comments: &[String], blocks: &[Block]) -> String {
    let mut out = String::new();
    for comment in comments {
        write_comment(comment, 0, &mut out);
    }
    for block in blocks {
        if !out.is_empty() {
            out.push('\n');
        }
        write_block(block, 0, &mut out);
    }
    out
}

fn write_block(block: &Block, indent: usize, out: &mut String) {
    for comment in &block.comments {
        write_comment(comment, indent, out);
    }
    pad(indent, out);
    out.push_str(&block.head);
    out.push_str(" {");
    if block.body.is_empty() {
        out.push_str("}\n");
        return;
    }
    out.push('\n');
    write_items(&block.body, indent + 2, out);
    pad(indent, out);
    out.push_str("}\n");
}

fn write_items(items: &[Item], indent: usize, out: &mut String) {
    let mut lines: Vec<(&str, &Expression)> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        match item {
            Item::Attribute(name, value) => {
                if i > 0 && lines.is_empty() {
                    out.push('\n');
                }
                lines.push((name, value));
            }
            Item::Block(block) => {
                write_aligned(&lines, indent, out);
                lines.clear();
                if i > 0 {
                    out.push('\n');
                }
                write_block(block, indent, out);
            }
        }
    }
    write_aligned(&lines, indent, out);
}

/// Lines `key = value`; the signs of neighbours on one line each stand below each other.
fn write_aligned(lines: &[(&str, &Expression)], indent: usize, out: &mut String) {
    for run in lines.chunk_by(|a, b| !a.1.has_lines() && !b.1.has_lines()) {
        let width = run.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        for (key, value) in run {
            pad(indent, out);
            out.push_str(key);
            pad(width - key.chars().count(), out);
            out.push_str(" = ");
            value.write(indent, out);
            out.push('\n');
        }
    }
}

fn write_comment(comment: &str, indent: usize, out: &mut String) {
    for line in comment.lines() {
        pad(indent, out);
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
}

fn pad(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}
