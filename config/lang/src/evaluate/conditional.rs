//! `condition ? then : otherwise`. Both arms are evaluated, because the result has the type that fits both;
//! what the arm that isn't taken complains about is dropped.

use super::{Evaluator, Names, poison};
use crate::convert::{convert, unify};
use crate::diagnostic::Diagnostics;
use crate::span::Span;
use crate::syntax::{Conditional, Expression};
use crate::types::Type;
use crate::value::{Data, Value};

impl Evaluator<'_> {
    pub(super) fn conditional(
        &mut self,
        conditional: &Conditional,
        span: &Span,
        names: Option<&Names<'_>>,
    ) -> Value {
        let (then, then_diagnostics) = self.apart(&conditional.then, names);
        let (otherwise, otherwise_diagnostics) = self.apart(&conditional.otherwise, names);
        let Some(ty) = common_type(&then, &otherwise) else {
            let detail =
                format!("The two results must have one type. {}.", mismatch(&then.ty(), &otherwise.ty()));
            let at = conditional.then.span.to(&conditional.otherwise.span);
            return self.error("Inconsistent conditional result types", detail, &at);
        };
        let condition = self.value(&conditional.condition, names);
        let Ok(condition) = self.decision(&condition, &conditional.condition) else { return poison() };
        let (chosen, diagnostics) = match condition.as_bool() {
            Some(true) => (then, then_diagnostics),
            Some(false) => (otherwise, otherwise_diagnostics),
            None => {
                let sensitive =
                    condition.sensitive || then.contains_sensitive() || otherwise.contains_sensitive();
                return Value::unknown(ty).marked(sensitive);
            }
        };
        self.diagnostics.extend(diagnostics);
        match convert(&chosen, &ty) {
            Ok(value) => value.marked(condition.sensitive),
            Err(error) => {
                let detail = format!("The chosen result has the wrong type: {error}.");
                self.error("Inconsistent conditional result types", detail, span)
            }
        }
    }

    /// The value of a condition: true, false or unknown.
    pub(super) fn decision(&mut self, value: &Value, at: &Expression) -> Result<Value, ()> {
        if value.is_null() {
            self.error("Null condition", "The condition is null; it must be true or false.", &at.span);
            return Err(());
        }
        convert(value, &Type::Bool).map_err(|_| {
            self.error("Incorrect condition type", "The condition must be true or false.", &at.span);
        })
    }

    /// Evaluates with diagnostics of its own; a failure has no value and no type.
    pub(super) fn apart(
        &mut self,
        expression: &Expression,
        names: Option<&Names<'_>>,
    ) -> (Value, Diagnostics) {
        let before = std::mem::take(&mut self.diagnostics);
        let value = self.value(expression, names);
        let found = std::mem::replace(&mut self.diagnostics, before);
        if found.has_errors() { (poison(), found) } else { (value, found) }
    }
}

/// The type that both arms convert to. A bare null takes the other's type.
fn common_type(a: &Value, b: &Value) -> Option<Type> {
    match (&a.data, &b.data) {
        (Data::Null(Type::Any), _) => Some(b.ty()),
        (_, Data::Null(Type::Any)) => Some(a.ty()),
        (Data::Unknown(Type::Any), _) | (_, Data::Unknown(Type::Any)) => Some(Type::Any),
        _ => unify([a.ty(), b.ty()]),
    }
}

fn mismatch(a: &Type, b: &Type) -> String {
    match (a, b) {
        (Type::Object(x), Type::Object(y)) => {
            for (name, attribute) in x {
                match y.get(name) {
                    None => return format!("Only the first has the attribute {name:?}"),
                    Some(other) if other.ty != attribute.ty => {
                        return format!(
                            "They differ in the attribute {name:?}: {}",
                            mismatch(&attribute.ty, &other.ty)
                        );
                    }
                    Some(_) => {}
                }
            }
            match y.keys().find(|name| !x.contains_key(*name)) {
                Some(name) => format!("Only the second has the attribute {name:?}"),
                None => "They differ deep inside".to_owned(),
            }
        }
        (Type::Tuple(x), Type::Tuple(y)) => match x.iter().zip(y).position(|(x, y)| x != y) {
            Some(i) => format!("They differ in element {i}: {}", mismatch(&x[i], &y[i])),
            None => format!("The first has {} elements, the second {}", x.len(), y.len()),
        },
        _ if a.friendly_name() == b.friendly_name() => "They differ deep inside".to_owned(),
        _ => format!("The first is {}, the second is {}", a.friendly_name(), b.friendly_name()),
    }
}
