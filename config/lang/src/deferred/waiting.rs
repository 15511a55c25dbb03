//! Which parts of an expression wait: those with a name in them that only the build has, or that a `for`
//! around the part binds. A `for` within the part hides names of its own.

use crate::syntax::{Expression, ExpressionKind, For, ObjectKey, Step, TemplatePart};

/// The names that are waited for.
#[derive(Clone, Debug)]
pub(super) struct Waiting<'n> {
    runtime: &'n [&'n str],
    bound: Vec<String>,
}

impl<'n> Waiting<'n> {
    pub(super) fn new(runtime: &'n [&'n str]) -> Self {
        Self { runtime, bound: Vec::new() }
    }

    /// The same within a `for` that binds these names.
    pub(super) fn within(&self, key: Option<&String>, value: &str) -> Self {
        let mut inner = self.clone();
        inner.bound.extend(key.cloned());
        inner.bound.push(value.to_owned());
        inner
    }

    /// Whether an expression has to wait.
    pub(super) fn concerns(&self, expression: &Expression) -> bool {
        Search { waiting: self, hidden: Vec::new() }.expression(expression)
    }

    /// Whether a step has to wait for its index.
    pub(super) fn concerns_step(&self, step: &Step) -> bool {
        Search { waiting: self, hidden: Vec::new() }.step(step)
    }

    /// Whether a name, with the first step that follows it, is waited for.
    pub(super) fn is_for(&self, root: &str, steps: &[Step]) -> bool {
        if self.bound.iter().any(|bound| bound == root) {
            return true;
        }
        let first = steps.first().and_then(|step| match step {
            Step::Attribute { name, .. } => Some(name.as_str()),
            Step::Index { key, .. } => key.as_literal().and_then(|key| key.as_str()),
            Step::Splat { .. } => None,
        });
        self.runtime.iter().any(|name| match name.split_once('.') {
            None => *name == root,
            // Without a constant first step any attribute may be meant.
            Some((name, attribute)) => name == root && first.is_none_or(|first| first == attribute),
        })
    }
}

struct Search<'w, 'e> {
    waiting: &'w Waiting<'w>,
    hidden: Vec<&'e str>,
}

impl<'e> Search<'_, 'e> {
    fn name(&self, root: &str, steps: &[Step]) -> bool {
        !self.hidden.contains(&root) && self.waiting.is_for(root, steps)
    }

    fn expression(&mut self, expression: &'e Expression) -> bool {
        match &expression.kind {
            ExpressionKind::Literal(_) | ExpressionKind::Failed(_) => false,
            ExpressionKind::Variable(name) => self.name(name, &[]),
            ExpressionKind::Template(parts) => self.parts(parts),
            ExpressionKind::Tuple(items) => items.iter().any(|item| self.expression(item)),
            ExpressionKind::Object(items) => items.iter().any(|item| {
                matches!(&item.key, ObjectKey::Expression(key) if self.expression(key))
                    || self.expression(&item.value)
            }),
            ExpressionKind::Traversal { root, steps } => {
                let root = match &root.kind {
                    ExpressionKind::Variable(name) => self.name(name, steps),
                    _ => self.expression(root),
                };
                root || steps.iter().any(|step| self.step(step))
            }
            // The second argument of convert is a type: its words are no names.
            ExpressionKind::Call(call) if call.name == "convert" => {
                call.arguments.first().is_some_and(|value| self.expression(value))
            }
            ExpressionKind::Call(call) => call.arguments.iter().any(|argument| self.expression(argument)),
            ExpressionKind::For(each) => self.for_each(each),
            ExpressionKind::Conditional(c) => {
                [&c.condition, &c.then, &c.otherwise].into_iter().any(|e| self.expression(e))
            }
            ExpressionKind::Unary { operand: inner, .. } | ExpressionKind::Parentheses(inner) => {
                self.expression(inner)
            }
            ExpressionKind::Binary { left, right, .. } => self.expression(left) || self.expression(right),
        }
    }

    fn step(&mut self, step: &'e Step) -> bool {
        match step {
            Step::Attribute { .. } => false,
            Step::Index { key, .. } => self.expression(key),
            Step::Splat { each, .. } => each.iter().any(|step| self.step(step)),
        }
    }

    fn for_each(&mut self, each: &'e For) -> bool {
        self.expression(&each.collection)
            || self.hiding(each.key_variable.as_deref(), &each.value_variable, |inner| {
                let body = [each.key.as_ref(), Some(&each.value), each.condition.as_ref()];
                body.into_iter().flatten().any(|e| inner.expression(e))
            })
    }

    fn parts(&mut self, parts: &'e [TemplatePart]) -> bool {
        parts.iter().any(|part| match part {
            TemplatePart::Literal { .. } => false,
            TemplatePart::Interpolation(expression) => self.expression(expression),
            TemplatePart::If { condition, then, otherwise, .. } => {
                self.expression(condition) || self.parts(then) || self.parts(otherwise)
            }
            TemplatePart::For { key_variable, value_variable, collection, body, .. } => {
                self.expression(collection)
                    || self.hiding(key_variable.as_deref(), value_variable, |inner| inner.parts(body))
            }
        })
    }

    fn hiding(
        &mut self,
        key: Option<&'e str>,
        value: &'e str,
        search: impl FnOnce(&mut Self) -> bool,
    ) -> bool {
        let before = self.hidden.len();
        self.hidden.extend(key);
        self.hidden.push(value);
        let found = search(self);
        self.hidden.truncate(before);
        found
    }
}
