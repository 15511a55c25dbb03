//! How bodies of functions read their arguments and how big their results may get. The evaluator has converted
//! arguments already, so a mismatch here is a mistake in a signature; it becomes an error all the same.

use bigdecimal::ToPrimitive;

use super::{Function, FunctionError, Parameter};
use crate::convert::unify;
use crate::types::Type;
use crate::value::{Number, Value};

/// What a body yields.
pub(super) type Outcome = Result<Value, FunctionError>;

/// The largest text that a function may produce, in bytes.
pub(super) const MAX_TEXT: usize = 64 << 20;
/// The most values that a function may produce at once.
pub(super) const MAX_ITEMS: usize = 1 << 20;

/// A parameter of type string.
pub(super) fn string(name: &'static str) -> Parameter {
    Parameter::new(name, Type::String)
}

/// A parameter of type number.
pub(super) fn number(name: &'static str) -> Parameter {
    Parameter::new(name, Type::Number)
}

/// A parameter of any type.
pub(super) fn any(name: &'static str) -> Parameter {
    Parameter::new(name, Type::Any)
}

/// A parameter of type list of string.
pub(super) fn strings(name: &'static str) -> Parameter {
    Parameter::new(name, Type::list(Type::String))
}

/// The same function, whose result is unknown as long as any part of an argument is.
pub(super) fn needs_all(function: Function) -> Function {
    let (body, returns) = (function.body.clone(), function.returns.clone());
    let body = move |args: &[Value]| match args.iter().all(Value::is_wholly_known) {
        true => body(args),
        false => Ok(Value::unknown(returns.clone())),
    };
    Function { body: std::sync::Arc::new(body), ..function }
}

/// The same function, whose errors don't tell what they found when an argument holds a secret.
pub(super) fn discreet(function: Function) -> Function {
    let body = function.body.clone();
    let body = move |args: &[Value]| {
        body(args).map_err(|error| match args.iter().any(Value::contains_sensitive) {
            false => error,
            true => FunctionError {
                message: "the call failed; the reason is withheld because an argument is sensitive"
                    .to_owned(),
                ..error
            },
        })
    };
    Function { body: std::sync::Arc::new(body), ..function }
}

fn mismatch(index: usize, ty: &str) -> FunctionError {
    FunctionError::argument(index, format!("a {ty} is required"))
}

/// The text of argument `index`.
pub(super) fn text(args: &[Value], index: usize) -> Result<&str, FunctionError> {
    args.get(index).and_then(Value::as_str).ok_or_else(|| mismatch(index, "string"))
}

/// The number in argument `index`.
pub(super) fn decimal(args: &[Value], index: usize) -> Result<&Number, FunctionError> {
    args.get(index).and_then(Value::as_number).ok_or_else(|| mismatch(index, "number"))
}

/// The whole number in argument `index`, of 64 bits.
pub(super) fn integer(args: &[Value], index: usize) -> Result<i64, FunctionError> {
    let number = decimal(args, index)?;
    let whole = number.is_integer().then(|| number.to_i64()).flatten();
    whole.ok_or_else(|| {
        let range = format!("between {} and {} inclusive", i64::MIN, i64::MAX);
        FunctionError::argument(index, format!("value must be a whole number, {range}"))
    })
}

/// The members of the list, set or tuple in argument `index`.
pub(super) fn items(args: &[Value], index: usize) -> Result<&[Value], FunctionError> {
    args.get(index).and_then(Value::as_items).ok_or_else(|| mismatch(index, "list"))
}

/// The same for a list or set converted to one type, which fails silently for members that have none in common.
pub(super) fn uniform_items(args: &[Value], index: usize) -> Result<&[Value], FunctionError> {
    let items = items(args, index)?;
    if unify(items.iter().map(Value::ty)).is_none() {
        return Err(FunctionError::argument(index, "all elements must have the same type"));
    }
    Ok(items)
}

/// A text result, unless it is too large.
pub(super) fn bounded(text: String) -> Outcome {
    check_size(text.len())?;
    Ok(Value::string(text))
}

/// Refuses texts of more than [`MAX_TEXT`] bytes; call it before making one.
pub(super) fn check_size(bytes: usize) -> Result<(), FunctionError> {
    if bytes <= MAX_TEXT {
        return Ok(());
    }
    Err(FunctionError::new(format!("the result would be larger than {} MiB", MAX_TEXT >> 20)))
}

/// Refuses results of more than [`MAX_ITEMS`] values; call it before making one.
pub(super) fn check_count(items: usize) -> Result<(), FunctionError> {
    if items <= MAX_ITEMS {
        return Ok(());
    }
    Err(FunctionError::new(format!("the result would have more than {MAX_ITEMS} values")))
}

/// A whole number as a value.
pub(super) fn count(n: usize) -> Value {
    Value::number(Number::from(n as u64))
}

/// A list of texts.
pub(super) fn string_list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Value {
    Value::list(Type::String, texts.into_iter().map(|s| Value::string(s.as_ref())).collect())
}
