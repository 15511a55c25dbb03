//! Operators. Numbers are decimal and exact up to 155 digits, the precision of HashiCorp's implementation.

use std::num::NonZeroU64;

use bigdecimal::{BigDecimal, RoundingMode, Zero as _};

use super::{Evaluator, Names, poison, reading};
use crate::convert::convert;
use crate::span::Span;
use crate::syntax::{BinaryOperator, Expression, UnaryOperator};
use crate::types::Type;
use crate::value::{Data, Number, Value};

/// Significant digits that are kept of a result: those of a 512-bit mantissa.
const DIGITS: u64 = 155;

/// Numbers whose decimal exponent goes beyond this are refused: written out they would fill the memory.
const LARGEST_EXPONENT: i64 = 10_000;

impl Evaluator<'_> {
    pub(super) fn unary(
        &mut self,
        operator: UnaryOperator,
        operand: &Expression,
        names: Option<&Names<'_>>,
    ) -> Value {
        let value = self.value(operand, names);
        let ty = match operator {
            UnaryOperator::Negate => Type::Number,
            UnaryOperator::Not => Type::Bool,
        };
        let value = match convert(&value, &ty) {
            Ok(value) if value.is_null() => {
                return self.error("Invalid operand", "The operand must not be null.", &operand.span);
            }
            Ok(value) => value,
            Err(error) => {
                let detail = format!("Unsuitable value for unary operand: {error}.");
                return self.error("Invalid operand", detail, &operand.span);
            }
        };
        let data = match (operator, &value.data) {
            (UnaryOperator::Negate, Data::Number(n)) => Data::Number(-n.clone()),
            (UnaryOperator::Not, Data::Bool(b)) => Data::Bool(!b),
            (_, other) => other.clone(),
        };
        Value { data, sensitive: value.sensitive }
    }

    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        (left, right): (&Expression, &Expression),
        span: &Span,
        names: Option<&Names<'_>>,
    ) -> Value {
        if matches!(operator, BinaryOperator::And | BinaryOperator::Or) {
            return self.logical(operator, (left, right), names);
        }
        let (operands, result) = types(operator);
        let before = self.diagnostics.len();
        let a = self.value(left, names);
        let b = self.value(right, names);
        let a = self.operand(&a, &operands, left, "left");
        let b = self.operand(&b, &operands, right, "right");
        let (Some(a), Some(b)) = (a, b) else { return poison() };
        if self.diagnostics.len() > before {
            return poison();
        }
        let equality = matches!(operator, BinaryOperator::Equal | BinaryOperator::NotEqual);
        if equality && !self.spend(reading(&a).min(reading(&b)), span) {
            return poison();
        }
        let sensitive = a.contains_sensitive() || b.contains_sensitive();
        let outcome = match operator {
            BinaryOperator::Equal => equal(&a, &b).map(Value::bool),
            BinaryOperator::NotEqual => equal(&a, &b).map(|same| Value::bool(!same)),
            _ => match self.apply(operator, &a, &b, span) {
                Ok(value) => value,
                Err(()) => return poison(),
            },
        };
        outcome.unwrap_or_else(|| Value::unknown(result)).marked(sensitive)
    }

    /// `&&` and `||`. One operand may decide alone; what the other complains about is dropped then, as it is
    /// while the left one, though sound, isn't known yet.
    fn logical(
        &mut self,
        operator: BinaryOperator,
        (left, right): (&Expression, &Expression),
        names: Option<&Names<'_>>,
    ) -> Value {
        let (a, a_diagnostics) = self.apart(left, names);
        let (b, b_diagnostics) = self.apart(right, names);
        let a = self.operand(&a, &Type::Bool, left, "left");
        let b = self.operand(&b, &Type::Bool, right, "right");
        let (Some(a), Some(b)) = (a, b) else {
            self.diagnostics.extend(a_diagnostics);
            self.diagnostics.extend(b_diagnostics);
            return poison();
        };
        let decisive = operator == BinaryOperator::Or;
        let (outcome, found) = match (a.as_bool(), b.as_bool()) {
            (Some(a), _) if a == decisive => (Some(decisive), a_diagnostics),
            (_, Some(b)) if b == decisive => (Some(decisive), b_diagnostics),
            (None, None) if !a_diagnostics.is_empty() => {
                (None, a_diagnostics.into_iter().chain(b_diagnostics).collect())
            }
            (None, _) => (None, a_diagnostics),
            (Some(_), None) => (None, b_diagnostics),
            (Some(_), Some(_)) => (Some(!decisive), b_diagnostics),
        };
        self.diagnostics.extend(found);
        let value = outcome.map_or_else(|| Value::unknown(Type::Bool), Value::bool);
        value.marked(a.sensitive || b.sensitive)
    }

    fn operand(&mut self, value: &Value, ty: &Type, at: &Expression, side: &str) -> Option<Value> {
        match convert(value, ty) {
            Ok(value) if value.is_null() && *ty != Type::Any => {
                self.error("Invalid operand", format!("The {side} operand must not be null."), &at.span);
                None
            }
            Ok(value) => Some(value),
            Err(error) => {
                let detail = format!("Unsuitable value for {side} operand: {error}.");
                self.error("Invalid operand", detail, &at.span);
                None
            }
        }
    }

    /// The result for two known numbers; none when one is unknown.
    fn apply(
        &mut self,
        operator: BinaryOperator,
        a: &Value,
        b: &Value,
        span: &Span,
    ) -> Result<Option<Value>, ()> {
        let divides = matches!(operator, BinaryOperator::Divide | BinaryOperator::Modulo);
        if divides && b.as_number().is_some_and(BigDecimal::is_zero) {
            self.error("Operation failed", "Division by zero.", span);
            return Err(());
        }
        let (Some(a), Some(b)) = (a.as_number(), b.as_number()) else { return Ok(None) };
        let number = match operator {
            BinaryOperator::Less => return Ok(Some(Value::bool(a < b))),
            BinaryOperator::LessOrEqual => return Ok(Some(Value::bool(a <= b))),
            BinaryOperator::Greater => return Ok(Some(Value::bool(a > b))),
            BinaryOperator::GreaterOrEqual => return Ok(Some(Value::bool(a >= b))),
            BinaryOperator::Add => a + b,
            BinaryOperator::Subtract => a - b,
            BinaryOperator::Multiply => a * b,
            BinaryOperator::Divide => divide(a, b),
            BinaryOperator::Modulo => a % b,
            _ => return Ok(None),
        };
        match rounded(number) {
            Some(number) => Ok(Some(Value::number(number))),
            None => {
                self.error("Operation failed", "The result is too large or too small a number.", span);
                Err(())
            }
        }
    }
}

/// What operands are converted to, and the type of the result.
fn types(operator: BinaryOperator) -> (Type, Type) {
    match operator {
        BinaryOperator::Equal | BinaryOperator::NotEqual => (Type::Any, Type::Bool),
        BinaryOperator::Less
        | BinaryOperator::LessOrEqual
        | BinaryOperator::Greater
        | BinaryOperator::GreaterOrEqual => (Type::Number, Type::Bool),
        _ => (Type::Number, Type::Number),
    }
}

fn divide(a: &Number, b: &Number) -> Number {
    // Enough digits in the dividend that the quotient has DIGITS of its own.
    let digits = i64::try_from(DIGITS + b.digits() + 2).unwrap_or(i64::MAX);
    let (integer, scale) = a.as_bigint_and_exponent();
    let (divisor, divisor_scale) = b.as_bigint_and_exponent();
    let have = i64::try_from(a.digits()).unwrap_or(0);
    let shift = (digits - have).max(0);
    let wide = BigDecimal::new(integer, scale).with_scale(scale + shift);
    let (wide, _) = wide.into_bigint_and_exponent();
    BigDecimal::new(wide / divisor, scale + shift - divisor_scale)
}

/// The number with bounded digits; none when its exponent is out of bounds.
pub(crate) fn rounded(number: Number) -> Option<Number> {
    let precision = NonZeroU64::new(DIGITS)?;
    let number = match number.digits() > DIGITS {
        true => number.with_precision_round(precision, RoundingMode::HalfEven),
        false => number,
    };
    let number = number.normalized();
    let (_, scale) = number.as_bigint_and_exponent();
    (scale.abs() <= LARGEST_EXPONENT).then_some(number)
}

/// Whether two values are the same; none when that can't be known yet. Values of different types differ.
pub(crate) fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (&a.data, &b.data) {
        (Data::Unknown(_), _) | (_, Data::Unknown(_)) => None,
        (Data::Null(_), Data::Null(_)) => Some(true),
        (Data::Number(a), Data::Number(b)) => Some(a == b),
        (Data::String(a), Data::String(b)) => Some(a == b),
        (Data::Bool(a), Data::Bool(b)) => Some(a == b),
        (Data::List(t, x), Data::List(u, y)) | (Data::Set(t, x), Data::Set(u, y)) => {
            if !same_type(t, u) || x.len() != y.len() {
                return Some(false);
            }
            all_equal(x.iter().zip(y))
        }
        (Data::Tuple(x), Data::Tuple(y)) if x.len() == y.len() => all_equal(x.iter().zip(y)),
        (Data::Map(t, x), Data::Map(u, y)) => {
            if !same_type(t, u) || !x.keys().eq(y.keys()) {
                return Some(false);
            }
            all_equal(x.values().zip(y.values()))
        }
        (Data::Object(x), Data::Object(y)) if x.keys().eq(y.keys()) => all_equal(x.values().zip(y.values())),
        _ => Some(false),
    }
}

fn same_type(a: &Type, b: &Type) -> bool {
    *a == Type::Any || *b == Type::Any || a == b
}

fn all_equal<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Option<bool> {
    let mut undecided = false;
    for (a, b) in pairs {
        match equal(a, b) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => undecided = true,
        }
    }
    (!undecided).then_some(true)
}
