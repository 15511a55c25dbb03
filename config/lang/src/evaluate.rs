//! Expression and scope to value.
//!
//! An error does not stop the evaluation: the failing part becomes an unknown value of no type, with which
//! nothing further can be wrong, and the rest is looked at, so that a user sees all errors at once. Marks
//! flow from every operand to the result. Work is bounded by the scope's budget; a budget that is used up
//! ends everything, also within `try`.

mod call;
mod conditional;
mod each;
mod operator;
mod template;
mod traverse;

#[cfg(test)]
mod tests;

use crate::convert::convert;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::scope::{Budget, Scope};
use crate::span::Span;
use crate::syntax::{Expression, ExpressionKind, ObjectItem, ObjectKey};
use crate::types::Type;
use crate::value::{Data, Value};

/// Parsing bounds the nesting of expressions far below this; trees from elsewhere are bounded by it.
const DEEPEST: usize = 400;

/// The value of `expression`.
///
/// # Errors
/// Everything that is wrong with it. Warnings can't occur.
pub fn evaluate(expression: &Expression, scope: &Scope) -> Result<Value, Diagnostics> {
    let mut evaluator = Evaluator::new(scope);
    let value = evaluator.value(expression, None);
    let value = evaluator.finish(value)?;
    if nesting(&value) > DEEPEST_VALUE {
        let detail = format!("Values can be nested at most {DEEPEST_VALUE} levels deep.");
        return Err(Diagnostic::error("Nesting too deep", detail).at(expression.span.clone()).into());
    }
    Ok(value)
}

/// The deepest value that an expression may yield. Locals that enclose each other could otherwise make one that no
/// stack holds.
const DEEPEST_VALUE: usize = 512;

/// After so many errors no more are looked for: a loop finds the same one again and again.
const MOST_ERRORS: usize = 200;

/// A name bound by a `for`, and those bound around it.
#[derive(Clone, Copy, Debug)]
struct Names<'n> {
    name: &'n str,
    value: &'n Value,
    outer: Option<&'n Names<'n>>,
}

struct Evaluator<'s> {
    scope: &'s Scope,
    diagnostics: Diagnostics,
    given: Budget,
    left: Budget,
    depth: usize,
    exhausted: Option<Diagnostic>,
}

/// What stands for the value of an expression that has none because of an error.
fn poison() -> Value {
    Value::unknown(Type::Any)
}

impl<'s> Evaluator<'s> {
    fn new(scope: &'s Scope) -> Self {
        let given = scope.budget();
        Self { scope, diagnostics: Diagnostics::new(), given, left: given, depth: 0, exhausted: None }
    }

    fn finish(mut self, value: Value) -> Result<Value, Diagnostics> {
        let Budget { steps, bytes } = self.given;
        self.scope.spent(Budget { steps: steps - self.left.steps, bytes: bytes - self.left.bytes });
        if let Some(exhausted) = self.exhausted {
            return Err(exhausted.into());
        }
        if self.diagnostics.has_errors() { Err(std::mem::take(&mut self.diagnostics)) } else { Ok(value) }
    }

    fn error(&mut self, summary: &str, detail: impl Into<String>, span: &Span) -> Value {
        self.diagnostics.push(Diagnostic::error(summary, detail).at(span.clone()));
        poison()
    }

    /// Takes steps from the budget. False when there are none left.
    fn spend(&mut self, steps: u64, span: &Span) -> bool {
        let enough = self.left.steps >= steps;
        self.left.steps = self.left.steps.saturating_sub(steps);
        if !enough {
            self.exhaust("It takes more steps than are left to it: one expression may take 2 million, a template 8 million.", span);
        }
        enough && self.exhausted.is_none()
    }

    /// Takes bytes from the budget. False when there are none left.
    fn spend_bytes(&mut self, bytes: usize, span: &Span) -> bool {
        let bytes = bytes as u64;
        let enough = self.left.bytes >= bytes;
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        if !enough {
            self.exhaust("It produces more text than is left to it: one expression may produce 64 MiB, a template 512 MiB.", span);
        }
        enough && self.exhausted.is_none()
    }

    fn exhaust(&mut self, detail: &str, span: &Span) {
        self.exhausted.get_or_insert_with(|| {
            Diagnostic::error("Expression too large", detail)
                .at(span.clone())
                .hint("make smaller collections, or split the work among several locals")
        });
    }

    /// Takes the cost of a copy of `value` from the budget.
    fn spend_copy(&mut self, value: &Value, span: &Span) -> bool {
        self.spend(size(value), span)
    }

    fn value(&mut self, expression: &Expression, names: Option<&Names<'_>>) -> Value {
        if !self.spend(1, &expression.span) || self.diagnostics.len() >= MOST_ERRORS {
            return poison();
        }
        if self.depth >= DEEPEST {
            return self.error(
                "Nesting too deep",
                "Expressions can't be nested this deep.",
                &expression.span,
            );
        }
        self.depth += 1;
        let value = self.value_of(expression, names);
        self.depth -= 1;
        value
    }

    fn value_of(&mut self, expression: &Expression, names: Option<&Names<'_>>) -> Value {
        let span = &expression.span;
        match &expression.kind {
            ExpressionKind::Literal(value) if self.spend_copy(value, span) => value.clone(),
            ExpressionKind::Literal(_) => poison(),
            ExpressionKind::Template(parts) => self.template(parts, span, names),
            ExpressionKind::Tuple(items) => {
                Value::tuple(items.iter().map(|item| self.value(item, names)).collect())
            }
            ExpressionKind::Object(items) => self.object(items, names),
            ExpressionKind::Variable(name) => match self.lookup(name, names) {
                Some(value) if self.spend_copy(value, span) => value.clone(),
                Some(_) => poison(),
                None => self.unknown_variable(name, span, names),
            },
            ExpressionKind::Traversal { root, steps } => self.traversal(root, steps, names),
            ExpressionKind::Call(call) => self.call(call, span, names),
            ExpressionKind::For(each) => self.for_each(each, span, names),
            ExpressionKind::Conditional(conditional) => self.conditional(conditional, span, names),
            ExpressionKind::Unary { operator, operand } => self.unary(*operator, operand, names),
            ExpressionKind::Binary { operator, left, right } => {
                self.binary(*operator, (left, right), span, names)
            }
            ExpressionKind::Parentheses(inner) => self.value(inner, names),
            ExpressionKind::Failed(diagnostics) => {
                self.diagnostics.extend(diagnostics.clone());
                poison()
            }
        }
    }

    fn lookup<'v>(&self, name: &str, names: Option<&Names<'v>>) -> Option<&'v Value>
    where
        's: 'v,
    {
        let mut bound = names;
        while let Some(binding) = bound {
            if binding.name == name {
                return Some(binding.value);
            }
            bound = binding.outer;
        }
        self.scope.get(name)
    }

    fn unknown_variable(&mut self, name: &str, span: &Span, names: Option<&Names<'_>>) -> Value {
        let mut known: Vec<&str> = self.scope.names().collect();
        let mut bound = names;
        while let Some(binding) = bound {
            known.push(binding.name);
            bound = binding.outer;
        }
        let detail = match known.is_empty() {
            true => "Variables can't be used here.".to_owned(),
            false => format!("There is no variable named {name:?}."),
        };
        let summary = if known.is_empty() { "Variables not allowed" } else { "Unknown variable" };
        let mut diagnostic = Diagnostic::error(summary, detail).at(span.clone());
        if let Some(near) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.hint(format!("did you mean {near:?}?"));
        } else if known.contains(&"var") {
            diagnostic = diagnostic.hint(format!(
                "for an input variable write var.{name}, for a local local.{name}, for text quote it"
            ));
        }
        self.diagnostics.push(diagnostic);
        poison()
    }

    fn object(&mut self, items: &[ObjectItem], names: Option<&Names<'_>>) -> Value {
        let mut entries = std::collections::BTreeMap::new();
        let (mut known, mut sensitive) = (true, false);
        for item in items {
            let key = self.object_key(&item.key, names);
            if let Some((key, _)) = &key
                && !self.spend_bytes(key.len(), item.key.span())
            {
                return poison();
            }
            let value = self.value(&item.value, names);
            match key {
                Some(key) => {
                    sensitive |= key.1;
                    entries.insert(key.0, value);
                }
                None => known = false,
            }
        }
        if known { Value::new(Data::Object(entries)).marked(sensitive) } else { poison() }
    }

    /// The text of a key and whether it is sensitive; `None` when it is unknown or wrong.
    fn object_key(&mut self, key: &ObjectKey, names: Option<&Names<'_>>) -> Option<(String, bool)> {
        let expression = match key {
            ObjectKey::Name { text, .. } => return Some((text.clone(), false)),
            ObjectKey::Expression(expression) => expression,
        };
        if matches!(expression.kind, ExpressionKind::Traversal { .. }) {
            self.error(
                "Ambiguous attribute key",
                "A key with dots must be put in parentheses if it refers to a value, or in quotes if it is text.",
                &expression.span,
            );
            return None;
        }
        let value = self.value(expression, names);
        if value.is_null() {
            self.error("Null value as key", "A key can't be null.", &expression.span);
            return None;
        }
        match convert(&value, &Type::String) {
            Ok(text) => Some((text.as_str()?.to_owned(), text.sensitive)),
            Err(error) => {
                let detail = format!("This value can't be a key: {error}.");
                self.error("Incorrect key type", detail, &expression.span);
                None
            }
        }
    }
}

/// What a map or object counts besides its entries: even a small one takes about a kilobyte.
pub(crate) const MAP_COST: u64 = 15;

/// How many values a value consists of; maps, long keys and long numbers count as several.
fn size(value: &Value) -> u64 {
    let keys = value
        .as_entries()
        .map_or(0, |entries| MAP_COST + entries.keys().map(|key| key.len() as u64 / 64).sum::<u64>());
    // So do numbers of many digits.
    let digits = value.as_number().map_or(0, |number| number.as_bigint_and_scale().0.bits() / 512);
    1 + keys + digits + value.children().map(size).sum::<u64>()
}

/// What it costs to read all the text in a value once, in steps.
fn reading(value: &Value) -> u64 {
    match &value.data {
        crate::value::Data::String(text) => text.len() as u64 / 64,
        _ => value.children().map(reading).sum(),
    }
}

/// How deep values are nested in a value.
fn nesting(value: &Value) -> usize {
    1 + value.children().map(nesting).max().unwrap_or(0)
}
