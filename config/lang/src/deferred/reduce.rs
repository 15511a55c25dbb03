//! What remains of an expression when every part that doesn't wait has been evaluated.

use super::waiting::Waiting;
use crate::diagnostic::Diagnostic;
use crate::evaluate::evaluate;
use crate::function::{Carry, FunctionError};
use crate::scope::Scope;
use crate::syntax::{
    Call, Conditional, Expression, ExpressionKind, For, ObjectItem, ObjectKey, Step, TemplatePart,
};
use crate::value::Value;

/// The expression with values, or errors, in the place of its parts that don't wait.
pub(super) fn remains(expression: &Expression, scope: &Scope, waiting: &Waiting<'_>) -> Expression {
    if !waiting.concerns(expression) {
        return evaluated(expression, scope);
    }
    let rest = |e: &Expression| remains(e, scope, waiting);
    let boxed = |e: &Expression| Box::new(rest(e));
    let kind = match &expression.kind {
        ExpressionKind::Literal(_) | ExpressionKind::Failed(_) | ExpressionKind::Variable(_) => {
            expression.kind.clone()
        }
        ExpressionKind::Template(parts) => ExpressionKind::Template(template(parts, scope, waiting)),
        ExpressionKind::Tuple(items) => ExpressionKind::Tuple(items.iter().map(rest).collect()),
        ExpressionKind::Object(items) => ExpressionKind::Object(
            items
                .iter()
                .map(|item| ObjectItem {
                    key: object_key(&item.key, scope, waiting),
                    value: rest(&item.value),
                })
                .collect(),
        ),
        ExpressionKind::Traversal { root, steps } => traversal(root, steps, scope, waiting),
        ExpressionKind::Call(call) => ExpressionKind::Call(reduced_call(call, scope, waiting)),
        ExpressionKind::For(each) => ExpressionKind::For(Box::new(for_each(each, scope, waiting))),
        ExpressionKind::Conditional(c) => ExpressionKind::Conditional(Box::new(Conditional {
            condition: rest(&c.condition),
            then: rest(&c.then),
            otherwise: rest(&c.otherwise),
        })),
        ExpressionKind::Unary { operator, operand } => {
            ExpressionKind::Unary { operator: *operator, operand: boxed(operand) }
        }
        ExpressionKind::Binary { operator, left, right } => {
            ExpressionKind::Binary { operator: *operator, left: boxed(left), right: boxed(right) }
        }
        ExpressionKind::Parentheses(inner) => ExpressionKind::Parentheses(boxed(inner)),
    };
    Expression::new(kind, expression.span.clone())
}

fn evaluated(expression: &Expression, scope: &Scope) -> Expression {
    let kind = match evaluate(expression, scope) {
        Ok(value) => ExpressionKind::Literal(value),
        Err(diagnostics) => ExpressionKind::Failed(diagnostics),
    };
    Expression::new(kind, expression.span.clone())
}

fn object_key(key: &ObjectKey, scope: &Scope, waiting: &Waiting<'_>) -> ObjectKey {
    match key {
        // A bare traversal is no valid key, whatever its value: it must not become one.
        ObjectKey::Expression(expression) if !matches!(expression.kind, ExpressionKind::Traversal { .. }) => {
            ObjectKey::Expression(remains(expression, scope, waiting))
        }
        other => other.clone(),
    }
}

/// Either the root is waited for, or as many steps as don't wait are taken now.
fn traversal(root: &Expression, steps: &[Step], scope: &Scope, waiting: &Waiting<'_>) -> ExpressionKind {
    let root_waits = match &root.kind {
        ExpressionKind::Variable(name) => waiting.is_for(name, steps),
        _ => waiting.concerns(root),
    };
    let (root, left) = if root_waits {
        let kept = matches!(root.kind, ExpressionKind::Variable(_));
        (if kept { root.clone() } else { remains(root, scope, waiting) }, steps)
    } else {
        let ready = steps.iter().take_while(|step| !waiting.concerns_step(step)).count();
        let (taken, left) = steps.split_at(ready);
        let kind = match taken {
            [] => root.kind.clone(),
            _ => ExpressionKind::Traversal { root: Box::new(root.clone()), steps: taken.to_vec() },
        };
        (evaluated(&Expression::new(kind, root.span.clone()), scope), left)
    };
    let steps = left.iter().map(|step| reduced_step(step, scope, waiting)).collect();
    ExpressionKind::Traversal { root: Box::new(root), steps }
}

fn reduced_step(step: &Step, scope: &Scope, waiting: &Waiting<'_>) -> Step {
    match step {
        Step::Attribute { .. } => step.clone(),
        Step::Index { key, span } => Step::Index { key: remains(key, scope, waiting), span: span.clone() },
        Step::Splat { each, span } => Step::Splat {
            each: each.iter().map(|step| reduced_step(step, scope, waiting)).collect(),
            span: span.clone(),
        },
    }
}

fn reduced_call(call: &Call, scope: &Scope, waiting: &Waiting<'_>) -> Call {
    let converts = call.name == "convert";
    let carry = scope.functions().get(&call.name).and_then(|function| function.carry.as_deref());
    let argument = |(i, argument): (usize, &Expression)| match (i, carry) {
        (1.., _) if converts => argument.clone(),
        (0, Some(carry)) => carried(remains(argument, scope, waiting), carry, call),
        _ => remains(argument, scope, waiting),
    };
    Call { arguments: call.arguments.iter().enumerate().map(argument).collect(), ..call.clone() }
}

/// What the function needs of this argument where it can ask nobody.
fn carried(argument: Expression, carry: &Carry, call: &Call) -> Expression {
    let outcome = match &argument.kind {
        ExpressionKind::Literal(value) => {
            carry(value).map(|carried| carried.marked(value.contains_sensitive()))
        }
        ExpressionKind::Failed(_) => return argument,
        _ => Err(FunctionError::argument(0, "it must be known before the build starts")),
    };
    let kind = outcome.map_or_else(
        |error| {
            let detail = format!("Invalid value for the first argument of {:?}: {error}.", call.name);
            let diagnostic = Diagnostic::error("Invalid function argument", detail);
            ExpressionKind::Failed(diagnostic.at(argument.span.clone()).into())
        },
        ExpressionKind::Literal,
    );
    Expression::new(kind, argument.span.clone())
}

fn for_each(each: &For, scope: &Scope, waiting: &Waiting<'_>) -> For {
    let inner = waiting.within(each.key_variable.as_ref(), &each.value_variable);
    For {
        collection: remains(&each.collection, scope, waiting),
        key: each.key.as_ref().map(|key| remains(key, scope, &inner)),
        value: remains(&each.value, scope, &inner),
        condition: each.condition.as_ref().map(|condition| remains(condition, scope, &inner)),
        key_variable: each.key_variable.clone(),
        value_variable: each.value_variable.clone(),
        group: each.group,
    }
}

fn template(parts: &[TemplatePart], scope: &Scope, waiting: &Waiting<'_>) -> Vec<TemplatePart> {
    let one = |part: &TemplatePart| match part {
        TemplatePart::Literal { .. } => part.clone(),
        TemplatePart::Interpolation(expression) => {
            TemplatePart::Interpolation(remains(expression, scope, waiting))
        }
        TemplatePart::If { condition, then, otherwise, span } => TemplatePart::If {
            condition: remains(condition, scope, waiting),
            then: template(then, scope, waiting),
            otherwise: template(otherwise, scope, waiting),
            span: span.clone(),
        },
        TemplatePart::For { key_variable, value_variable, collection, body, span } => {
            let inner = waiting.within(key_variable.as_ref(), value_variable);
            TemplatePart::For {
                key_variable: key_variable.clone(),
                value_variable: value_variable.clone(),
                collection: remains(collection, scope, waiting),
                body: template(body, scope, &inner),
                span: span.clone(),
            }
        }
    };
    parts.iter().map(one).collect()
}

/// How deep expressions, and values within them, are nested.
pub(super) fn depth(expression: &Expression) -> usize {
    let inner = match &expression.kind {
        ExpressionKind::Literal(value) => value_depth(value),
        ExpressionKind::Failed(_) | ExpressionKind::Variable(_) => 0,
        ExpressionKind::Template(parts) => parts_depth(parts),
        ExpressionKind::Tuple(items) => deepest(items.iter()),
        ExpressionKind::Object(items) => {
            let keys = items.iter().filter_map(|item| match &item.key {
                ObjectKey::Expression(key) => Some(key),
                ObjectKey::Name { .. } => None,
            });
            deepest(keys.chain(items.iter().map(|item| &item.value)))
        }
        ExpressionKind::Traversal { root, steps } => depth(root).max(steps_depth(steps)),
        ExpressionKind::Call(call) => deepest(call.arguments.iter()),
        ExpressionKind::For(each) => {
            let optional = [each.key.as_ref(), Some(&each.value), each.condition.as_ref()];
            deepest(std::iter::once(&each.collection).chain(optional.into_iter().flatten()))
        }
        ExpressionKind::Conditional(c) => deepest([&c.condition, &c.then, &c.otherwise].into_iter()),
        ExpressionKind::Unary { operand: inner, .. } | ExpressionKind::Parentheses(inner) => depth(inner),
        ExpressionKind::Binary { left, right, .. } => depth(left).max(depth(right)),
    };
    inner + 1
}

fn deepest<'e>(expressions: impl Iterator<Item = &'e Expression>) -> usize {
    expressions.map(depth).max().unwrap_or(0)
}

fn value_depth(value: &Value) -> usize {
    value.children().map(value_depth).max().map_or(0, |inner| inner + 1)
}

fn steps_depth(steps: &[Step]) -> usize {
    let one = |step: &Step| match step {
        Step::Attribute { .. } => 0,
        Step::Index { key, .. } => depth(key),
        Step::Splat { each, .. } => steps_depth(each) + 1,
    };
    steps.iter().map(one).max().unwrap_or(0)
}

fn parts_depth(parts: &[TemplatePart]) -> usize {
    let one = |part: &TemplatePart| match part {
        TemplatePart::Literal { .. } => 0,
        TemplatePart::Interpolation(expression) => depth(expression),
        TemplatePart::If { condition, then, otherwise, .. } => {
            depth(condition).max(parts_depth(then) + 1).max(parts_depth(otherwise) + 1)
        }
        TemplatePart::For { collection, body, .. } => depth(collection).max(parts_depth(body) + 1),
    };
    parts.iter().map(one).max().unwrap_or(0)
}
