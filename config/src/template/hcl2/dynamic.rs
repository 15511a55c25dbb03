//! `dynamic "kind" { for_each, iterator, labels, content }`: one block per member of a collection.
//!
//! A content block is not copied: every repetition reads the same syntax in a scope of its own, in which the
//! iterator stands for the member.

use std::borrow::Cow;

use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Block, Body, Label};
use kiln_lang::value::Data;
use kiln_lang::{Diagnostic, Diagnostics, Span, Type, Value};

use super::argument;
use crate::template::shape::{Attributes, BlockShape, Shape};

/// A block as it counts after expansion.
#[derive(Clone, Debug)]
pub(crate) struct Nested<'a> {
    pub(crate) kind: &'a str,
    pub(crate) kind_span: &'a Span,
    pub(crate) labels: Cow<'a, [Label]>,
    pub(crate) body: &'a Body,
    pub(crate) header: &'a Span,
    /// What the names inside stand for.
    pub(crate) scope: Scope,
}

/// What a block costs of a template's allowance: it is kept, with everything in it, until the plans are made.
const STEPS_PER_BLOCK: u64 = 50;

const SHAPE: Shape = Shape {
    attributes: Attributes::Only(&["for_each", "iterator", "labels"]),
    blocks: &[BlockShape { kind: "content", labels: &[] }],
};

impl Nested<'_> {
    /// The label at `index`.
    pub(crate) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", |label| &label.text)
    }

    /// The block without its content, for checks of kind and labels.
    pub(crate) fn head(&self) -> Block {
        Block {
            kind: self.kind.to_owned(),
            kind_span: self.kind_span.clone(),
            labels: self.labels.to_vec(),
            body: Body::empty(self.header.clone()),
            header: self.header.clone(),
            span: self.header.clone(),
        }
    }

    /// The header as messages name it.
    pub(crate) fn header_text(&self) -> String {
        self.head().header_text()
    }
}

/// The blocks of a body, dynamic ones replaced by what they stand for.
pub(crate) fn expand<'a>(body: &'a Body, scope: &Scope, found: &mut Diagnostics) -> Vec<Nested<'a>> {
    let mut nested = Vec::with_capacity(body.blocks.len());
    for block in &body.blocks {
        if block.kind == "dynamic" {
            match repeat(block, scope) {
                Ok(repeated) => nested.extend(repeated),
                Err(complaints) => found.extend(complaints),
            }
        } else {
            nested.push(Nested {
                kind: &block.kind,
                kind_span: &block.kind_span,
                labels: Cow::Borrowed(&block.labels),
                body: &block.body,
                header: &block.header,
                scope: scope.clone(),
            });
        }
    }
    nested
}

fn repeat<'a>(block: &'a Block, scope: &Scope) -> Result<Vec<Nested<'a>>, Diagnostics> {
    let mut found = Diagnostics::new();
    SHAPE.check(&block.body, &mut found);
    let missing = |what: &str| {
        let detail = format!("A dynamic block needs {what}.");
        Diagnostic::error("Missing required argument", detail).at(block.header.clone())
    };
    let [kind] = block.labels.as_slice() else {
        return Err(missing("one label: the kind of the blocks to make").into());
    };
    let for_each = block.body.attribute("for_each").ok_or_else(|| missing("\"for_each\""))?;
    let content = block.body.blocks_of("content").next().ok_or_else(|| missing("a \"content\" block"))?;
    if found.has_errors() {
        return Err(found);
    }
    let iterator = iterator(block, &kind.text)?;
    let mut nested = Vec::new();
    for (key, value) in members(for_each, scope)? {
        if !scope.charge(STEPS_PER_BLOCK) {
            let detail = "The dynamic blocks of this template make more blocks than a template may have.";
            return Err(Diagnostic::error("Too many blocks", detail).at(block.header.clone()).into());
        }
        let member = Value::object([("key".to_owned(), key), ("value".to_owned(), value)]);
        let scope = scope.clone().with(iterator, member);
        let labels = match block.body.attribute("labels") {
            Some(attribute) => labels(attribute, &scope)?,
            None => Vec::new(),
        };
        nested.push(Nested {
            kind: &kind.text,
            kind_span: &kind.span,
            labels: Cow::Owned(labels),
            body: &content.body,
            header: &block.header,
            scope,
        });
    }
    Ok(nested)
}

fn iterator<'a>(block: &'a Block, kind: &'a str) -> Result<&'a str, Diagnostic> {
    let Some(attribute) = block.body.attribute("iterator") else { return Ok(kind) };
    // JSON can only write it as text.
    let text = attribute.expression.as_literal().and_then(Value::as_str);
    attribute.expression.keyword().or(text).ok_or_else(|| {
        Diagnostic::error("Invalid expression", "The iterator must be a single variable name.")
            .at(attribute.expression.span.clone())
    })
}

fn labels(attribute: &Attribute, scope: &Scope) -> Result<Vec<Label>, Diagnostic> {
    let texts = argument::strings(attribute, scope)?;
    let span = &attribute.expression.span;
    Ok(texts.into_iter().map(|text| Label { text, span: span.clone() }).collect())
}

/// The members to repeat for. A collection that isn't known yet counts as one with a single unknown member.
fn members(for_each: &Attribute, scope: &Scope) -> Result<Vec<(Value, Value)>, Diagnostic> {
    let collection = argument::value(&for_each.expression, scope)?;
    let invalid = |detail: String| {
        Diagnostic::error("Invalid dynamic for_each value", detail).at(for_each.expression.span.clone())
    };
    let marked = |value: &Value| value.clone().marked(collection.sensitive);
    match &collection.data {
        Data::Unknown(_) => Ok(vec![(Value::unknown(Type::Any), Value::unknown(Type::Any))]),
        Data::Null(_) => Err(invalid("Cannot use a null value in for_each.".into())),
        Data::List(_, items) | Data::Tuple(items) => {
            let index = |i: usize| Value::number(i64::try_from(i).unwrap_or(i64::MAX));
            Ok(items.iter().enumerate().map(|(i, v)| (index(i), marked(v))).collect())
        }
        Data::Set(_, items) => Ok(items.iter().map(|v| (marked(v), marked(v))).collect()),
        Data::Map(_, entries) | Data::Object(entries) => {
            Ok(entries.iter().map(|(k, v)| (Value::from(k.as_str()), marked(v))).collect())
        }
        _ => Err(invalid(format!(
            "Cannot use a {} value in for_each; a list, set, map or object is required.",
            collection.ty().friendly_name()
        ))),
    }
}
