//! From the parser crate's tree to ours.

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr as hcl;
use hcl_edit::structure;

use super::lenient::Renamed;
use crate::convert::parse_number;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::span::Span;
use crate::syntax::{
    Attribute, BinaryOperator, Block, Body, Call, Conditional, Expression, ExpressionKind, For, Label,
    ObjectItem, ObjectKey, Step, UnaryOperator,
};
use crate::value::Value;

/// Where the parsed text stands in its file.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The text begins at this offset and is the file's text byte by byte.
    At(usize),
    /// The text was decoded from this range, so that its parts have no places of their own.
    Within(Range<usize>),
}

/// Converts what the parser crate made of `text`.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) text: &'a str,
    file: Arc<str>,
    place: Place,
    renamed: &'a Renamed,
    /// What the parser crate accepts and the language does not.
    pub(super) diagnostics: Diagnostics,
}

impl<'a> Tree<'a> {
    pub(super) fn new(text: &'a str, file: &Arc<str>, place: Place, renamed: &'a Renamed) -> Self {
        Self { text, file: file.clone(), place, renamed, diagnostics: Diagnostics::new() }
    }

    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let range = match &self.place {
            Place::At(base) => base + range.start..base + range.end,
            Place::Within(whole) => whole.clone(),
        };
        Span::new(self.file.clone(), range.start, range.end)
    }

    fn span_of(&self, node: &impl hcl_edit::Span) -> Option<Span> {
        node.span().map(|range| self.span(range))
    }

    fn span_or(&self, node: &impl hcl_edit::Span, fallback: &Span) -> Span {
        self.span_of(node).unwrap_or_else(|| fallback.clone())
    }

    pub(super) fn body(&mut self, body: &structure::Body, span: Span) -> Body {
        let mut converted = Body::empty(span);
        for structure in body {
            match structure {
                structure::Structure::Attribute(attribute) => {
                    let attribute = self.attribute(attribute, &converted.span);
                    converted.attributes.push(attribute);
                }
                structure::Structure::Block(block) => {
                    let block = self.block(block, &converted.span);
                    converted.blocks.push(block);
                }
            }
        }
        converted
    }

    fn attribute(&mut self, attribute: &structure::Attribute, around: &Span) -> Attribute {
        let name_span = self.span_or(&attribute.key, around);
        let expression = self.expression(&attribute.value, around);
        let span = name_span.to(&expression.span);
        Attribute { name: attribute.key.as_str().to_owned(), name_span, expression, span }
    }

    fn block(&mut self, block: &structure::Block, around: &Span) -> Block {
        let span = self.span_or(block, around);
        let kind_span = self.span_or(&block.ident, &span);
        let mut labels = Vec::new();
        for label in &block.labels {
            let (text, at) = match label {
                structure::BlockLabel::Ident(ident) => (ident.as_str(), ident.span()),
                structure::BlockLabel::String(text) => (text.as_str(), text.span()),
            };
            let at = at.map_or_else(|| kind_span.clone(), |range| self.span(range));
            labels.push(Label { text: text.to_owned(), span: at });
        }
        let header = labels.last().map_or_else(|| kind_span.clone(), |last| kind_span.to(&last.span));
        let inside = self.between_braces(block.span(), &header);
        let body = self.body(&block.body, inside);
        Block { kind: block.ident.as_str().to_owned(), kind_span, labels, body, header, span }
    }

    /// The range between the braces of a block that ends with one.
    fn between_braces(&self, block: Option<Range<usize>>, header: &Span) -> Span {
        let (Place::At(base), Some(block)) = (&self.place, block) else { return header.clone() };
        let open = self.text.get(header.end - base..block.end).and_then(|rest| rest.find('{'));
        let start = open.map_or(header.end, |at| header.end + at + 1);
        Span::new(self.file.clone(), start, (base + block.end).saturating_sub(1).max(start))
    }

    pub(super) fn expression(&mut self, expression: &hcl::Expression, around: &Span) -> Expression {
        let span = self.span_or(expression, around);
        let kind = match expression {
            hcl::Expression::Null(_) => ExpressionKind::Literal(Value::null()),
            hcl::Expression::Bool(b) => ExpressionKind::Literal(Value::bool(**b)),
            hcl::Expression::Number(n) => ExpressionKind::Literal(self.number(n, &span)),
            hcl::Expression::String(s) => {
                ExpressionKind::Literal(Value::string(self.original(expression.span(), s.as_str())))
            }
            hcl::Expression::StringTemplate(template) => {
                let parts = self.template_parts(template, false);
                super::template::whole(parts)
            }
            hcl::Expression::HeredocTemplate(heredoc) => {
                let indented = self.is_indented_heredoc(expression.span());
                let parts = self.heredoc_parts(&heredoc.template, indented);
                super::template::whole(parts)
            }
            hcl::Expression::Array(items) => {
                ExpressionKind::Tuple(items.iter().map(|e| self.expression(e, &span)).collect())
            }
            hcl::Expression::Object(object) => self.object(object, &span),
            hcl::Expression::Parenthesis(inner) => {
                ExpressionKind::Parentheses(Box::new(self.expression(inner.inner(), &span)))
            }
            hcl::Expression::Variable(name) => ExpressionKind::Variable(name.as_str().to_owned()),
            hcl::Expression::Conditional(c) => self.conditional(c, &span),
            hcl::Expression::FuncCall(call) => self.call(call, &span),
            hcl::Expression::Traversal(traversal) => return self.traversal(traversal, &span),
            hcl::Expression::UnaryOp(op) => self.unary(op, &span),
            hcl::Expression::BinaryOp(op) => return self.binary(op, &span),
            hcl::Expression::ForExpr(each) => self.for_each(each, &span),
        };
        Expression { kind, span }
    }

    /// The text of a key before [`super::lenient`] renamed it, if it did.
    fn original<'b>(&'b self, range: Option<Range<usize>>, text: &'b str) -> &'b str {
        range.and_then(|r| self.renamed.get(&r.start)).map_or(text, String::as_str)
    }

    fn number(&mut self, number: &hcl_edit::Formatted<hcl_edit::Number>, span: &Span) -> Value {
        let raw = number.span().and_then(|range| self.text.get(range)).unwrap_or_default();
        let digits: String = raw.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(exact) = parse_number(&digits) {
            return Value::number(exact);
        }
        self.diagnostics.push(
            Diagnostic::error("Invalid number literal", "This number is too long or its exponent too large.")
                .at(span.clone()),
        );
        Value::number(0)
    }

    fn object(&mut self, object: &hcl::Object, span: &Span) -> ExpressionKind {
        let items = object.iter().map(|(key, value)| ObjectItem {
            key: self.object_key(key, span),
            value: self.expression(value.expr(), span),
        });
        ExpressionKind::Object(items.collect())
    }

    fn object_key(&mut self, key: &hcl::ObjectKey, around: &Span) -> ObjectKey {
        let name = match key {
            hcl::ObjectKey::Ident(ident) => {
                Some((self.original(ident.span(), ident.as_str()).to_owned(), ident.span()))
            }
            hcl::ObjectKey::Expression(hcl::Expression::Bool(b)) => Some((b.to_string(), b.span())),
            hcl::ObjectKey::Expression(hcl::Expression::Null(n)) => Some(("null".to_owned(), n.span())),
            hcl::ObjectKey::Expression(_) => None,
        };
        match (name, key) {
            (Some((text, range)), _) => {
                let span = range.map_or_else(|| around.clone(), |range| self.span(range));
                ObjectKey::Name { text, span }
            }
            (None, hcl::ObjectKey::Expression(expression)) => {
                ObjectKey::Expression(self.expression(expression, around))
            }
            (None, hcl::ObjectKey::Ident(_)) => ObjectKey::Name { text: String::new(), span: around.clone() },
        }
    }

    fn conditional(&mut self, c: &hcl::Conditional, span: &Span) -> ExpressionKind {
        ExpressionKind::Conditional(Box::new(Conditional {
            condition: self.expression(&c.cond_expr, span),
            then: self.expression(&c.true_expr, span),
            otherwise: self.expression(&c.false_expr, span),
        }))
    }

    fn call(&mut self, call: &hcl::FuncCall, span: &Span) -> ExpressionKind {
        let words = call.name.namespace.iter().chain(std::iter::once(&call.name.name));
        let name: Vec<&str> = words.map(|word| word.as_str()).collect();
        let first = call.name.namespace.first().unwrap_or(&call.name.name);
        let start = first.span().map_or(0, |range| range.start);
        let end = call.name.name.span().map_or(start, |range| range.end);
        let name_span = if first.span().is_some() { self.span(start..end) } else { span.clone() };
        ExpressionKind::Call(Call {
            name: name.join("::"),
            name_span,
            arguments: call.args.iter().map(|e| self.expression(e, span)).collect(),
            expand: call.args.expand_final(),
        })
    }

    fn unary(&mut self, op: &hcl::UnaryOp, span: &Span) -> ExpressionKind {
        let operator = match op.operator.value() {
            hcl::UnaryOperator::Neg => UnaryOperator::Negate,
            hcl::UnaryOperator::Not => UnaryOperator::Not,
        };
        ExpressionKind::Unary { operator, operand: Box::new(self.expression(&op.expr, span)) }
    }

    fn binary(&mut self, op: &hcl::BinaryOp, around: &Span) -> Expression {
        use BinaryOperator as Ours;
        use hcl::BinaryOperator as Theirs;
        let operator = match op.operator.value() {
            Theirs::Eq => Ours::Equal,
            Theirs::NotEq => Ours::NotEqual,
            Theirs::Less => Ours::Less,
            Theirs::LessEq => Ours::LessOrEqual,
            Theirs::Greater => Ours::Greater,
            Theirs::GreaterEq => Ours::GreaterOrEqual,
            Theirs::Plus => Ours::Add,
            Theirs::Minus => Ours::Subtract,
            Theirs::Mul => Ours::Multiply,
            Theirs::Div => Ours::Divide,
            Theirs::Mod => Ours::Modulo,
            Theirs::And => Ours::And,
            Theirs::Or => Ours::Or,
        };
        let left = Box::new(self.expression(&op.lhs_expr, around));
        let right = Box::new(self.expression(&op.rhs_expr, around));
        let span = left.span.to(&right.span);
        Expression { kind: ExpressionKind::Binary { operator, left, right }, span }
    }

    fn for_each(&mut self, each: &hcl::ForExpr, span: &Span) -> ExpressionKind {
        ExpressionKind::For(Box::new(For {
            key_variable: each.intro.key_var.as_ref().map(|name| name.as_str().to_owned()),
            value_variable: each.intro.value_var.as_str().to_owned(),
            collection: self.expression(&each.intro.collection_expr, span),
            key: each.key_expr.as_ref().map(|e| self.expression(e, span)),
            value: self.expression(&each.value_expr, span),
            group: each.grouping,
            condition: each.cond.as_ref().map(|c| self.expression(&c.expr, span)),
        }))
    }

    fn traversal(&mut self, traversal: &hcl::Traversal, around: &Span) -> Expression {
        let root = self.expression(&traversal.expr, around);
        let mut steps = Vec::new();
        // The splats that still collect steps, innermost last: `[*]` takes all that follow, `.*` attributes.
        let mut open: Vec<(Span, bool, Vec<Step>)> = Vec::new();
        let mut end = root.span.clone();
        for operator in &traversal.operators {
            let span = self.span_or(operator, &end);
            end = span.clone();
            let (step, attribute_like) = match operator.value() {
                hcl::TraversalOperator::GetAttr(name) => {
                    (Step::Attribute { name: name.as_str().to_owned(), span }, true)
                }
                hcl::TraversalOperator::LegacyIndex(index) => {
                    let index = Value::number(*index.value());
                    (Step::Index { key: Expression::literal(index, span.clone()), span }, true)
                }
                hcl::TraversalOperator::Index(key) => {
                    let key = self.expression(key, &span);
                    (Step::Index { key, span }, false)
                }
                hcl::TraversalOperator::AttrSplat(_) => {
                    close_attribute_splats(&mut open, &mut steps);
                    open.push((span, false, Vec::new()));
                    continue;
                }
                hcl::TraversalOperator::FullSplat(_) => {
                    close_attribute_splats(&mut open, &mut steps);
                    open.push((span, true, Vec::new()));
                    continue;
                }
            };
            if !attribute_like {
                close_attribute_splats(&mut open, &mut steps);
            }
            open.last_mut().map_or(&mut steps, |splat| &mut splat.2).push(step);
        }
        while let Some((span, _, each)) = open.pop() {
            open.last_mut().map_or(&mut steps, |outer| &mut outer.2).push(Step::Splat { each, span });
        }
        let span = root.span.to(&end);
        Expression { kind: ExpressionKind::Traversal { root: Box::new(root), steps }, span }
    }
}

/// Ends the `.*` that still collects, if one does.
fn close_attribute_splats(open: &mut Vec<(Span, bool, Vec<Step>)>, steps: &mut Vec<Step>) {
    while open.last().is_some_and(|(_, full, _)| !full) {
        let Some((span, _, each)) = open.pop() else { return };
        open.last_mut().map_or(&mut *steps, |outer| &mut outer.2).push(Step::Splat { each, span });
    }
}
