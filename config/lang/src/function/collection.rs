//! Functions that ask something of a collection, or choose one value among several.

use unicode_segmentation::UnicodeSegmentation;

use super::argument::{Outcome, any, count, integer, items, number};
use super::{Function, FunctionError, Parameter};
use crate::convert::{convert, unify};
use crate::types::Type;
use crate::value::{Data, Value};

pub(super) fn functions() -> Vec<Function> {
    let bools = || Parameter::new("list", Type::list(Type::Bool));
    vec![
        Function::new("alltrue", [bools()], Type::Bool, |args| decide(items(args, 0)?, false)),
        Function::new("anytrue", [bools()], Type::Bool, |args| decide(items(args, 0)?, true)),
        Function::new("coalesce", [], Type::Any, coalesce).variadic(any("vals").nullable().unknowable()),
        Function::new("coalescelist", [], Type::Any, coalesce_list)
            .variadic(any("vals").nullable().unknowable()),
        Function::new("contains", [any("list"), any("value")], Type::Bool, contains),
        Function::new("element", [any("list"), number("index")], Type::Any, element),
        Function::new("index", [any("list"), any("value")], Type::Number, index_of),
        Function::new("length", [any("value")], Type::Number, length),
    ]
}

/// Whether two values are the same; marks don't matter, nulls are all alike. `None` while it can't be known.
pub(super) fn same(a: &Value, b: &Value) -> Option<bool> {
    let members = |a: &[Value], b: &[Value]| match a.len() == b.len() {
        true => all_same(a.iter().zip(b)),
        false => Some(false),
    };
    match (&a.data, &b.data) {
        (Data::Unknown(_), _) | (_, Data::Unknown(_)) => None,
        (Data::Null(_), Data::Null(_)) => Some(true),
        (Data::List(s, a), Data::List(t, b)) | (Data::Set(s, a), Data::Set(t, b)) => {
            if s == t {
                members(a, b)
            } else {
                Some(false)
            }
        }
        (Data::Tuple(a), Data::Tuple(b)) => members(a, b),
        (Data::Map(s, _), Data::Map(t, _)) if s != t => Some(false),
        (Data::Map(_, a), Data::Map(_, b)) | (Data::Object(a), Data::Object(b)) => {
            if a.keys().eq(b.keys()) {
                all_same(a.values().zip(b.values()))
            } else {
                Some(false)
            }
        }
        (a, b) => Some(a == b),
    }
}

/// A text that is the same for two wholly known values of one type exactly when [`same`] finds them so.
pub(super) fn identity(value: &Value) -> String {
    let mut key = String::new();
    identify(value, &mut key);
    key
}

fn identify(value: &Value, key: &mut String) {
    match &value.data {
        Data::Null(_) => key.push('n'),
        Data::Unknown(_) => key.push('?'),
        Data::Bool(b) => key.push(if *b { 't' } else { 'f' }),
        Data::Number(n) => key.push_str(&format!("#{};", n.normalized())),
        Data::String(text) => key.push_str(&format!("\"{}:{text}", text.len())),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            key.push('[');
            items.iter().for_each(|item| identify(item, key));
            key.push(']');
        }
        Data::Map(_, entries) | Data::Object(entries) => {
            key.push('{');
            for (name, item) in entries {
                key.push_str(&format!("{}:{name}", name.len()));
                identify(item, key);
            }
            key.push('}');
        }
    }
}

fn all_same<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Option<bool> {
    let mut known = true;
    for (a, b) in pairs {
        match same(a, b) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// Whether one of `items` is `decisive`; if none is, the opposite. Null counts as false.
fn decide(items: &[Value], decisive: bool) -> Outcome {
    let truth = |item: &Value| item.is_known().then(|| item.as_bool().unwrap_or(false));
    if items.iter().any(|item| truth(item) == Some(decisive)) {
        return Ok(Value::bool(decisive));
    }
    let known = items.iter().all(Value::is_known);
    Ok(if known { Value::bool(!decisive) } else { Value::unknown(Type::Bool) })
}

/// The first that is neither null nor "", converted to the type that fits all. A null without type makes up for
/// there being none.
fn coalesce(args: &[Value]) -> Outcome {
    let untyped = args.iter().any(|arg| arg.ty() == Type::Any).then_some(Type::Any);
    let of = unify(args.iter().map(Value::ty))
        .or(untyped)
        .ok_or_else(|| FunctionError::new("all arguments must have the same type"))?;
    for (index, arg) in args.iter().enumerate() {
        if !arg.is_known() {
            return Ok(Value::unknown(of));
        }
        let converted = convert(arg, &of).map_err(|e| FunctionError::argument(index, e.to_string()))?;
        if !converted.is_null() && converted.as_str() != Some("") {
            return Ok(converted);
        }
    }
    Err(FunctionError::new("no non-null, non-empty-string arguments"))
}

/// The first that has members.
fn coalesce_list(args: &[Value]) -> Outcome {
    if args.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    for (index, arg) in args.iter().enumerate() {
        match arg.ty() {
            _ if !arg.is_known() => return Ok(Value::unknown(Type::Any)),
            Type::List(_) | Type::Tuple(_) => {}
            _ => {
                return Err(FunctionError::argument(index, "coalescelist arguments must be lists or tuples"));
            }
        }
    }
    let filled = args.iter().find(|arg| arg.as_items().is_some_and(|members| !members.is_empty()));
    filled.cloned().ok_or_else(|| FunctionError::new("no non-null arguments"))
}

fn contains(args: &[Value]) -> Outcome {
    let Some(members) = args[0].as_items() else {
        return Err(FunctionError::argument(0, "argument must be list, tuple, or set"));
    };
    let mut known = true;
    for member in members {
        match same(member, &args[1]) {
            Some(true) => return Ok(Value::bool(true)),
            Some(false) => {}
            None => known = false,
        }
    }
    Ok(if known { Value::bool(false) } else { Value::unknown(Type::Bool) })
}

/// `element(list, index)`: beyond the end it starts over; negative ones are errors, as in cty 1.13.
fn element(args: &[Value]) -> Outcome {
    let (Data::List(_, members) | Data::Tuple(members)) = &args[0].data else {
        let found = args[0].ty().friendly_name();
        return Err(FunctionError::argument(0, format!("cannot read elements from {found}")));
    };
    let index = usize::try_from(integer(args, 1)?)
        .map_err(|_| FunctionError::argument(1, "cannot use element function with a negative index"))?;
    if members.is_empty() {
        return Err(FunctionError::argument(0, "cannot use element function with an empty list"));
    }
    Ok(members[index % members.len()].clone())
}

fn index_of(args: &[Value]) -> Outcome {
    let (Data::List(_, members) | Data::Tuple(members)) = &args[0].data else {
        return Err(FunctionError::argument(0, "argument must be a list or tuple"));
    };
    if members.is_empty() {
        return Err(FunctionError::argument(0, "cannot search an empty list"));
    }
    for (index, member) in members.iter().enumerate() {
        match same(member, &args[1]) {
            Some(true) => return Ok(count(index)),
            Some(false) => {}
            None => return Ok(Value::unknown(Type::Number)),
        }
    }
    Err(FunctionError::new("item not found"))
}

/// Members of a collection, attributes of an object, characters (grapheme clusters) of a text.
fn length(args: &[Value]) -> Outcome {
    let value = &args[0];
    let length = match (value.as_str(), value.as_items(), value.as_entries()) {
        (Some(text), ..) => text.graphemes(true).count(),
        (_, Some(members), _) => members.len(),
        (_, _, Some(entries)) => entries.len(),
        _ => {
            let message = "argument must be a string, a collection type, or a structural type";
            return Err(FunctionError::argument(0, message));
        }
    };
    Ok(count(length))
}
