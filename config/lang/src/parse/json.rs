//! HCL's JSON profile (`.pkr.json`): the same bodies, written as objects.
//!
//! JSON alone can't tell an argument that is an object from a block, so the reader says which properties are
//! blocks ([`BlockShapes`]). Every string is a template. Properties named `//` are comments in bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, parse_to_ast};

use super::tree::Place;
use crate::convert::parse_number;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::json_text::strict;
use crate::span::{SourceFile, Span};
use crate::syntax::{Attribute, Block, Body, Expression, ExpressionKind, Label, ObjectItem, ObjectKey};
use crate::value::Value;

/// Nesting beyond this is refused, as in the native syntax.
const DEEPEST: usize = 64;

/// Which properties of a body are blocks.
#[derive(Clone, Debug, Default)]
pub struct BlockShapes {
    kinds: BTreeMap<String, BlockShape>,
}

/// What a block of one kind looks like.
#[derive(Clone, Debug, Default)]
pub struct BlockShape {
    /// How many labels it has: as many levels of objects stand between its kind and its body.
    pub labels: usize,
    /// The blocks inside it.
    pub inside: BlockShapes,
}

impl BlockShapes {
    /// No blocks: every property is an argument.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a kind of block.
    #[must_use]
    pub fn with(mut self, kind: &str, labels: usize, inside: BlockShapes) -> Self {
        self.kinds.insert(kind.to_owned(), BlockShape { labels, inside });
        self
    }

    /// The shape of blocks of `kind`, if there are such.
    pub fn get(&self, kind: &str) -> Option<&BlockShape> {
        self.kinds.get(kind)
    }
}

pub(super) fn body(file: &SourceFile, shapes: &BlockShapes) -> (Body, Diagnostics) {
    let whole = Span::new(file.name().clone(), 0, file.text().len());
    let mut reader = Reader { file: file.name().clone(), text: file.text(), diagnostics: Diagnostics::new() };
    let Some(root) = reader.parse() else { return (Body::empty(whole), reader.diagnostics) };
    let body = reshape(&root, shapes, &mut reader.diagnostics);
    (Body { span: whole, ..body }, reader.diagnostics)
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    fn parse(&mut self) -> Option<Expression> {
        let start = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        match parse_to_ast(self.text, &CollectOptions::default(), &strict()) {
            Ok(parsed) => match parsed.value {
                Some(value) => self.expression(&value, 0),
                None => {
                    let detail = "A JSON template must have an object as its root.";
                    self.report("Missing JSON value", detail, start..self.text.len());
                    None
                }
            },
            Err(error) => {
                let detail = format!("{}.", error.kind());
                let range = error.range();
                self.report("Invalid JSON syntax", &detail, range.start..range.end);
                None
            }
        }
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.file.clone(), range.start.min(self.text.len()), range.end.min(self.text.len()))
    }

    fn report(&mut self, summary: &str, detail: &str, range: std::ops::Range<usize>) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(summary, detail).at(span));
    }

    fn expression(&mut self, value: &ast::Value<'_>, depth: usize) -> Option<Expression> {
        let range = value.range();
        let span = self.span(range.start..range.end);
        if depth > DEEPEST {
            let detail = "Objects and arrays can be nested at most 64 levels deep.";
            self.report("Nesting too deep", detail, span.start..span.end);
            return None;
        }
        let kind = match value {
            ast::Value::StringLit(text) => return self.template(text),
            ast::Value::NumberLit(number) => {
                let Some(exact) = parse_number(number.value) else {
                    let detail = "This number is too long or its exponent too large.";
                    self.report("Invalid number literal", detail, span.start..span.end);
                    return None;
                };
                ExpressionKind::Literal(Value::number(exact))
            }
            ast::Value::BooleanLit(b) => ExpressionKind::Literal(Value::bool(b.value)),
            ast::Value::NullKeyword(_) => ExpressionKind::Literal(Value::null()),
            ast::Value::Array(array) => ExpressionKind::Tuple(
                array.elements.iter().filter_map(|e| self.expression(e, depth + 1)).collect(),
            ),
            ast::Value::Object(object) => {
                let items = object.properties.iter().filter_map(|p| self.property(p, depth)).collect();
                ExpressionKind::Object(items)
            }
        };
        Some(Expression::new(kind, span))
    }

    fn property(&mut self, property: &ast::ObjectProp<'_>, depth: usize) -> Option<ObjectItem> {
        let key = match &property.name {
            ast::ObjectPropName::String(text) => {
                let key = self.template(text)?;
                match key.as_literal().and_then(Value::as_str) {
                    Some(name) => ObjectKey::Name { text: name.to_owned(), span: key.span.clone() },
                    None => ObjectKey::Expression(key),
                }
            }
            ast::ObjectPropName::Word(word) => {
                let span = self.span(word.range.start..word.range.end);
                ObjectKey::Name { text: word.value.to_owned(), span }
            }
        };
        let value = self.expression(&property.value, depth + 1)?;
        Some(ObjectItem { key, value })
    }

    fn template(&mut self, text: &ast::StringLit<'_>) -> Option<Expression> {
        let range = text.range.start..text.range.end;
        let span = self.span(range.clone());
        let verbatim = self.text.get(range.start + 1..range.end.saturating_sub(1)) == Some(&*text.value);
        let place = if verbatim { Place::At(range.start + 1) } else { Place::Within(range) };
        match super::template_at(&text.value, &self.file, place) {
            Ok(expression) => Some(Expression { span, ..expression }),
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                None
            }
        }
    }
}

/// Reads an object (or a list of objects) as a body.
fn reshape(object: &Expression, shapes: &BlockShapes, diagnostics: &mut Diagnostics) -> Body {
    let mut body = Body::empty(object.span.clone());
    for (name, name_span, value) in properties(object, diagnostics) {
        if name == "//" {
            continue;
        }
        match shapes.get(name) {
            Some(shape) => {
                let start = Header { kind: name, kind_span: name_span, labels: Vec::new() };
                blocks(&start, value, shape, (&mut body.blocks, diagnostics));
            }
            None if body.attribute(name).is_some() => diagnostics.push(
                Diagnostic::error("Duplicate argument", format!("The argument {name:?} was already set."))
                    .at(name_span.clone()),
            ),
            None => body.attributes.push(Attribute {
                name: name.to_owned(),
                name_span: name_span.clone(),
                expression: value.clone(),
                span: name_span.to(&value.span),
            }),
        }
    }
    body
}

/// The properties of an object, or of all objects in a list.
fn properties<'e>(
    object: &'e Expression,
    diagnostics: &mut Diagnostics,
) -> Vec<(&'e str, &'e Span, &'e Expression)> {
    match &object.kind {
        ExpressionKind::Object(items) => {
            let mut found = Vec::new();
            for item in items {
                match &item.key {
                    ObjectKey::Name { text, span } => found.push((text.as_str(), span, &item.value)),
                    ObjectKey::Expression(key) => diagnostics.push(
                        Diagnostic::error(
                            "Invalid property name",
                            "The name of an argument can't be computed.",
                        )
                        .at(key.span.clone()),
                    ),
                }
            }
            found
        }
        ExpressionKind::Tuple(items) => items.iter().flat_map(|item| properties(item, diagnostics)).collect(),
        _ => {
            let detail = "A JSON object is required here, with arguments and blocks as its properties.";
            diagnostics.push(Diagnostic::error("Incorrect JSON value type", detail).at(object.span.clone()));
            Vec::new()
        }
    }
}

struct Header<'e> {
    kind: &'e str,
    kind_span: &'e Span,
    labels: Vec<Label>,
}

fn blocks(
    header: &Header<'_>,
    value: &Expression,
    shape: &BlockShape,
    (found, diagnostics): (&mut Vec<Block>, &mut Diagnostics),
) {
    if value.as_literal().is_some_and(Value::is_null) {
        return;
    }
    if header.labels.len() < shape.labels {
        for (label, span, value) in properties(value, diagnostics) {
            if label == "//" {
                continue;
            }
            let mut labels = header.labels.clone();
            labels.push(Label { text: label.to_owned(), span: span.clone() });
            let deeper = Header { labels, ..*header };
            blocks(&deeper, value, shape, (found, diagnostics));
        }
        return;
    }
    let bodies = match &value.kind {
        ExpressionKind::Tuple(items) => items.iter().collect(),
        _ => vec![value],
    };
    for object in bodies {
        let body = reshape(object, &shape.inside, diagnostics);
        let last = header.labels.last().map_or(header.kind_span, |label| &label.span);
        found.push(Block {
            kind: header.kind.to_owned(),
            kind_span: header.kind_span.clone(),
            labels: header.labels.clone(),
            span: header.kind_span.to(&body.span),
            header: header.kind_span.to(last),
            body,
        });
    }
}

/// Reads an argument whose value is an object, or a list of objects, as blocks of that name. For readers that
/// learn only later, from a component's schema, that a property of a JSON template means a block.
///
/// # Errors
/// What in the value can't be part of a block.
pub fn blocks_from(attribute: &Attribute, shape: &BlockShape) -> Result<Vec<Block>, Diagnostics> {
    let header = Header { kind: &attribute.name, kind_span: &attribute.name_span, labels: Vec::new() };
    let (mut found, mut diagnostics) = (Vec::new(), Diagnostics::new());
    blocks(&header, &attribute.expression, shape, (&mut found, &mut diagnostics));
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(found) }
}
