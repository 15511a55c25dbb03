//! Functions on numbers. Numbers are exact decimals; `log` and `pow` go through floating point, as in cty.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{RoundingMode, Signed, ToPrimitive, Zero};

use super::argument::{Outcome, any, decimal, integer, needs_all, number, text};
use super::{Function, FunctionError};
use crate::convert::convert;
use crate::types::Type;
use crate::value::{Number, Value};

/// The longest text that `parseint` reads, in digits: arithmetic on more would take too long.
const MAX_DIGITS: usize = 4096;

pub(super) fn functions() -> Vec<Function> {
    let on_number = |name, f: fn(&Number) -> Number| {
        Function::new(name, [number("num")], Type::Number, move |args| {
            Ok(Value::number(f(decimal(args, 0)?)))
        })
    };
    let on_floats = |name, names: [&'static str; 2], f: fn(f64, f64) -> f64| {
        Function::new(name, names.map(number), Type::Number, move |args| {
            from_float(f(float(args, 0)?, float(args, 1)?))
        })
    };
    vec![
        on_number("abs", Signed::abs),
        on_number("ceil", |n| n.with_scale_round(0, RoundingMode::Ceiling)),
        on_number("floor", |n| n.with_scale_round(0, RoundingMode::Floor)),
        on_floats("log", ["num", "base"], |n, base| n.ln() / base.ln()),
        on_floats("pow", ["num", "power"], f64::powf),
        Function::new("signum", [number("num")], Type::Number, |args| {
            Ok(Value::from(integer(args, 0)?.signum()))
        }),
        Function::new("max", [], Type::Number, |args| extreme(args, |a, b| a > b))
            .variadic(number("numbers")),
        Function::new("min", [], Type::Number, |args| extreme(args, |a, b| a < b))
            .variadic(number("numbers")),
        Function::new("parseint", [any("number"), number("base")], Type::Number, parse_integer),
        needs_all(Function::new("sum", [any("list")], Type::Number, sum)),
    ]
}

fn float(args: &[Value], index: usize) -> Result<f64, FunctionError> {
    let float = decimal(args, index)?.to_f64().filter(|f| f.is_finite());
    float.ok_or_else(|| FunctionError::argument(index, "the number is too large"))
}

/// The shortest decimal that reads as this floating-point number.
fn from_float(float: f64) -> Outcome {
    if !float.is_finite() {
        return Err(FunctionError::new("the result is infinite or no number"));
    }
    float.to_string().parse::<Number>().map(Value::number).map_err(|e| FunctionError::new(e.to_string()))
}

fn extreme(args: &[Value], better: fn(&Number, &Number) -> bool) -> Outcome {
    if args.is_empty() {
        return Err(FunctionError::new("must pass at least one number"));
    }
    let mut best = decimal(args, 0)?;
    for index in 1..args.len() {
        let candidate = decimal(args, index)?;
        if better(candidate, best) {
            best = candidate;
        }
    }
    Ok(Value::number(best.clone()))
}

fn sum(args: &[Value]) -> Outcome {
    let Some(items) = args[0].as_items() else {
        let found = args[0].ty().friendly_name();
        return Err(FunctionError::argument(0, format!("argument must be list, set, or tuple, not {found}")));
    };
    if items.is_empty() {
        return Err(FunctionError::argument(0, "cannot sum an empty list"));
    }
    let mut total = Number::zero();
    for item in items {
        let converted = convert(item, &Type::Number).ok();
        let Some(number) = converted.as_ref().and_then(Value::as_number) else {
            let message = "argument must be list, set, or tuple of number values without nulls";
            return Err(FunctionError::argument(0, message));
        };
        total += number;
    }
    Ok(Value::number(total))
}

/// `parseint(text, base)`: digits `0-9 a-z A-Z`; upper and lower case differ only beyond base 36.
fn parse_integer(args: &[Value]) -> Outcome {
    if args[0].as_str().is_none() {
        let found = args[0].ty().friendly_name();
        return Err(FunctionError::argument(0, format!("first argument must be a string, not {found}")));
    }
    let (source, base) = (text(args, 0)?, integer(args, 1)?);
    let base = u32::try_from(base).ok().filter(|base| (2..=62).contains(base));
    let base = base.ok_or_else(|| {
        FunctionError::argument(1, "base must be a whole number between 2 and 62 inclusive")
    })?;
    let failed = || FunctionError::argument(0, format!("cannot parse {source:?} as a base {base} integer"));
    let digits = source.strip_prefix(['-', '+']).unwrap_or(source);
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return Err(failed());
    }
    let mut number = BigInt::from(0);
    for c in digits.chars() {
        let digit = digit_value(c, base).filter(|d| *d < base).ok_or_else(failed)?;
        number = number * base + digit;
    }
    if source.starts_with('-') {
        number = -number;
    }
    Ok(Value::number(Number::from(number)))
}

fn digit_value(c: char, base: u32) -> Option<u32> {
    match c {
        '0'..='9' => Some(u32::from(c) - u32::from('0')),
        'a'..='z' => Some(u32::from(c) - u32::from('a') + 10),
        'A'..='Z' if base <= 36 => Some(u32::from(c) - u32::from('A') + 10),
        'A'..='Z' => Some(u32::from(c) - u32::from('A') + 36),
        _ => None,
    }
}
