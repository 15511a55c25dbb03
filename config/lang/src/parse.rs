//! Text to syntax tree. The one door to the parser crate.
//!
//! ```text
//!  text ──► parser crate ──ok──► our tree
//!               │ error
//!               ▼
//!           outline: what is unclosed, where each item begins and ends
//!               │ each item again ──ok──► our tree
//!               ▼
//!           explain: what was found, what was expected
//! ```
//!
//! Nothing here panics, whatever the bytes; nesting is bounded by the parser crate (64 levels).

mod explain;
mod json;
mod lenient;
mod outline;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::parser;

pub use self::json::{BlockShape, BlockShapes, blocks_from};
use self::lenient::Renamed;
use self::outline::Item;
use self::tree::{Place, Tree};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::span::{SourceFile, Span};
use crate::syntax::{Block, Body, Expression};
use crate::value::Value;

/// Blocks nested deeper than this are not looked into after an error.
const DEEPEST: usize = 64;

/// Parses a file of arguments and blocks. The body has what was understood, also when there are errors.
pub fn body(file: &SourceFile) -> (Body, Diagnostics) {
    let text = file.text();
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { text, file: file.name(), diagnostics: Diagnostics::new() };
    let whole = start..text.len();
    let span = Span::new(file.name().clone(), start, text.len());
    // Quoted text over several lines is no error to the parser crate; only the outline tells.
    let outline = outline::scan(text, file.name(), whole.clone());
    if outline.diagnostics.is_empty()
        && let Ok(body) = reader.sound(whole.clone(), span.clone())
    {
        return (body, reader.diagnostics);
    }
    reader.diagnostics = outline.diagnostics;
    let body = reader.items(outline.items, span, &Around { header: None, depth: 0 });
    (body, reader.diagnostics)
}

/// Parses a text that is one expression.
///
/// # Errors
/// Why it is none.
pub fn expression(file: &SourceFile) -> Result<Expression, Diagnostics> {
    let text = file.text();
    let start = text.len() - text.trim_start().len();
    expression_at(text.trim(), file.name(), Place::At(start))
}

/// Parses a text that is a template as a whole, without quotes: a template file, a string of a JSON template.
///
/// # Errors
/// Why it is none.
pub fn template(file: &SourceFile) -> Result<Expression, Diagnostics> {
    template_at(file.text(), file.name(), Place::At(0))
}

/// Parses a text of HCL's JSON profile, in which `shapes` says which properties are blocks.
pub fn json_body(file: &SourceFile, shapes: &BlockShapes) -> (Body, Diagnostics) {
    json::body(file, shapes)
}

/// The expression that stands as text in a string of a JSON template, where the native syntax would have the
/// bare expression: `"type": "list(string)"`. Anything but constant text is returned as it is.
///
/// # Errors
/// Why the text is no expression; all at the place of the string.
pub fn embedded(expression: &Expression) -> Result<Expression, Diagnostics> {
    let Some(text) = expression.as_literal().and_then(Value::as_str) else { return Ok(expression.clone()) };
    let span = &expression.span;
    expression_at(text.trim(), &span.file, Place::Within(span.start..span.end))
}

fn expression_at(text: &str, file: &Arc<str>, place: Place) -> Result<Expression, Diagnostics> {
    let outline = outline::scan(text, file, 0..text.len());
    if !outline.diagnostics.is_empty() {
        return Err(placed(outline.diagnostics, &place));
    }
    let (parsed, renamed) = lenient::parse(text, parser::parse_expr);
    let parsed = parsed
        .map_err(|error| placed(explain::expression(text, file, 0..text.len(), &error).into(), &place))?;
    let mut tree = Tree::new(text, file, place, &renamed);
    let whole = tree.span(0..text.len());
    let expression = tree.expression(&parsed, &whole);
    finished(expression, tree.diagnostics)
}

fn template_at(text: &str, file: &Arc<str>, place: Place) -> Result<Expression, Diagnostics> {
    if let Some(tangle) = explain::tangle_of_template(text, file) {
        return Err(placed(tangle.into(), &place));
    }
    let (parsed, renamed) = lenient::parse(text, parser::parse_template);
    match parsed {
        Ok(parsed) => {
            let mut tree = Tree::new(text, file, place, &renamed);
            let span = tree.span(0..text.len());
            let parts = tree.template_parts(&parsed, true);
            let expression = Expression::new(template::whole(parts), span);
            finished(expression, tree.diagnostics)
        }
        Err(error) => Err(placed(explain::template(text, file, &error).into(), &place)),
    }
}

/// Diagnostics about a text, where the text stands.
fn placed(diagnostics: Diagnostics, place: &Place) -> Diagnostics {
    let moved = |mut diagnostic: Diagnostic| {
        if let Some(span) = &mut diagnostic.span {
            (span.start, span.end) = match place {
                Place::At(base) => (base + span.start, base + span.end),
                Place::Within(whole) => (whole.start, whole.end),
            };
        }
        diagnostic
    };
    diagnostics.into_iter().map(moved).collect()
}

fn finished(expression: Expression, diagnostics: Diagnostics) -> Result<Expression, Diagnostics> {
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(expression) }
}

/// The block that an item stands in.
struct Around {
    header: Option<String>,
    depth: usize,
}

struct Reader<'t> {
    text: &'t str,
    file: &'t Arc<str>,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    /// Parses a range that is expected to be sound.
    fn sound(&mut self, range: Range<usize>, span: Span) -> Result<Body, parser::Error> {
        let text = &self.text[range.clone()];
        let parse = if self.diagnostics.is_empty() { lenient::parse } else { lenient::parse_unsound };
        let (parsed, renamed) = parse(text, parser::parse_body);
        let parsed = parsed?;
        let mut tree = Tree::new(text, self.file, Place::At(range.start), &renamed);
        let body = tree.body(&parsed, span);
        self.diagnostics.extend(tree.diagnostics);
        Ok(body)
    }

    /// Parses items one by one, so that each is judged by itself.
    fn items(&mut self, items: Vec<Item>, span: Span, around: &Around) -> Body {
        let mut body = Body::empty(span.clone());
        for item in items {
            let found = match self.sound(item.range.clone(), span.clone()) {
                Ok(found) => Some(found),
                Err(error) => self.unsound_item(&item, &error, around),
            };
            let Some(found) = found else { continue };
            for attribute in found.attributes {
                match body.attribute(&attribute.name) {
                    Some(earlier) => {
                        self.redefined(&attribute.name, &attribute.name_span, &earlier.name_span);
                    }
                    None => body.attributes.push(attribute),
                }
            }
            body.blocks.extend(found.blocks);
        }
        body
    }

    fn redefined(&mut self, name: &str, span: &Span, earlier: &Span) {
        let line = self.text[..earlier.start].matches('\n').count() + 1;
        self.diagnostics.push(
            Diagnostic::error(
                "Attribute redefined",
                format!("The argument {name:?} was already set on line {line}. Each argument may be set only once."),
            )
            .at(span.clone()),
        );
    }

    fn unsound_item(&mut self, item: &Item, error: &parser::Error, around: &Around) -> Option<Body> {
        let inside = item.body.clone().filter(|_| around.depth < DEEPEST);
        let Some(inside) = inside else {
            if !item.broken {
                self.explain(item, error, around);
            }
            return None;
        };
        let Some(mut block) = self.header(item.range.start..inside.start) else {
            if !item.broken {
                self.explain(item, error, around);
            }
            return None;
        };
        let before = self.diagnostics.len();
        let span = Span::new(self.file.clone(), inside.start, inside.end);
        let outline = outline::scan(self.text, self.file, inside.clone());
        let around_inner = Around { header: Some(block.header_text()), depth: around.depth + 1 };
        block.body = self.items(outline.items, span, &around_inner);
        block.span = Span::new(self.file.clone(), item.range.start, item.range.end);
        if self.diagnostics.len() == before && !item.broken {
            self.explain(item, error, around);
        }
        let place = block.span.clone();
        Some(Body { attributes: Vec::new(), blocks: vec![block], span: place })
    }

    /// Parses `kind "label" {` alone.
    fn header(&self, range: Range<usize>) -> Option<Block> {
        let text = format!("{}}}", &self.text[range.clone()]);
        let parsed = parser::parse_body(&text).ok()?;
        let renamed = Renamed::new();
        let mut tree = Tree::new(&text, self.file, Place::At(range.start), &renamed);
        let span = tree.span(0..text.len());
        tree.body(&parsed, span).blocks.into_iter().next()
    }

    fn explain(&mut self, item: &Item, error: &parser::Error, around: &Around) {
        let mut diagnostic = explain::item(self.text, self.file, item.range.clone(), error);
        diagnostic.context.clone_from(&around.header);
        self.diagnostics.push(diagnostic);
    }
}
