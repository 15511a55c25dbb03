//! Which names an expression mentions. A textual scan, as Packer does it for its dependency graph: whether a
//! branch is ever taken makes no difference.

use serde::{Deserialize, Serialize};

use super::{Expression, ExpressionKind, ObjectKey, Step, TemplatePart};
use crate::convert::primitive_text;
use crate::span::Span;

/// A name and the constant steps that follow it: `data.amazon-ami.base.id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The first word.
    pub root: String,
    /// The constant steps up to the first splat or computed index.
    pub steps: Vec<ReferenceStep>,
    /// Root and steps.
    pub span: Span,
}

impl Reference {
    /// The name of step `index`, if that step is a name or a constant text.
    pub fn step(&self, index: usize) -> Option<&str> {
        self.steps.get(index).map(ReferenceStep::text)
    }
}

/// One constant step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceStep {
    /// `.name`
    Attribute(String),
    /// `["key"]` or `[0]`, as text.
    Index(String),
}

impl ReferenceStep {
    /// Its text.
    pub fn text(&self) -> &str {
        match self {
            ReferenceStep::Attribute(text) | ReferenceStep::Index(text) => text,
        }
    }
}

pub(super) fn of(expression: &Expression) -> Vec<Reference> {
    let mut found = Vec::new();
    scan(expression, &mut found);
    found
}

fn scan(expression: &Expression, found: &mut Vec<Reference>) {
    match &expression.kind {
        ExpressionKind::Literal(_) | ExpressionKind::Failed(_) => {}
        ExpressionKind::Template(parts) => scan_parts(parts, found),
        ExpressionKind::Tuple(items) => items.iter().for_each(|e| scan(e, found)),
        ExpressionKind::Object(items) => {
            for item in items {
                if let ObjectKey::Expression(key) = &item.key {
                    scan(key, found);
                }
                scan(&item.value, found);
            }
        }
        ExpressionKind::Variable(name) => {
            found.push(Reference { root: name.clone(), steps: Vec::new(), span: expression.span.clone() });
        }
        ExpressionKind::Traversal { root, steps } => {
            match &root.kind {
                ExpressionKind::Variable(name) => found.push(reference(name, &root.span, steps)),
                _ => scan(root, found),
            }
            scan_steps(steps, found);
        }
        ExpressionKind::Call(call) => call.arguments.iter().for_each(|e| scan(e, found)),
        ExpressionKind::For(each) => {
            let optional = [each.key.as_ref(), Some(&each.value), each.condition.as_ref()];
            std::iter::once(&each.collection)
                .chain(optional.into_iter().flatten())
                .for_each(|e| scan(e, found));
        }
        ExpressionKind::Conditional(c) => {
            [&c.condition, &c.then, &c.otherwise].into_iter().for_each(|e| scan(e, found));
        }
        ExpressionKind::Unary { operand: inner, .. } | ExpressionKind::Parentheses(inner) => {
            scan(inner, found);
        }
        ExpressionKind::Binary { left, right, .. } => {
            scan(left, found);
            scan(right, found);
        }
    }
}

fn scan_parts(parts: &[TemplatePart], found: &mut Vec<Reference>) {
    for part in parts {
        match part {
            TemplatePart::Literal { .. } => {}
            TemplatePart::Interpolation(expression) => scan(expression, found),
            TemplatePart::If { condition, then, otherwise, .. } => {
                scan(condition, found);
                scan_parts(then, found);
                scan_parts(otherwise, found);
            }
            TemplatePart::For { collection, body, .. } => {
                scan(collection, found);
                scan_parts(body, found);
            }
        }
    }
}

fn scan_steps(steps: &[Step], found: &mut Vec<Reference>) {
    for step in steps {
        match step {
            Step::Attribute { .. } => {}
            Step::Index { key, .. } => scan(key, found),
            Step::Splat { each, .. } => scan_steps(each, found),
        }
    }
}

fn reference(root: &str, root_span: &Span, steps: &[Step]) -> Reference {
    let mut span = root_span.clone();
    let mut constant = Vec::new();
    for step in steps {
        let text = match step {
            Step::Attribute { name, .. } => Some(ReferenceStep::Attribute(name.clone())),
            Step::Index { key, .. } => key.as_literal().and_then(primitive_text).map(ReferenceStep::Index),
            Step::Splat { .. } => None,
        };
        let Some(text) = text else { break };
        span = span.to(step.span());
        constant.push(text);
    }
    Reference { root: root.to_owned(), steps: constant, span }
}
