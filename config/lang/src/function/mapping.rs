//! Functions on maps and objects. Entries go by key, sorted.

use std::collections::BTreeMap;

use super::argument::{Outcome, any, items, string, strings, text};
use super::{Function, FunctionError};
use crate::convert::convert;
use crate::types::Type;
use crate::value::{Data, Value};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("keys", [any("inputMap")], Type::Any, keys),
        Function::new("lookup", [any("inputMap"), string("key"), any("default")], Type::Any, lookup),
        Function::new("merge", [], Type::Any, merge).variadic(any("maps").nullable()),
        Function::new("values", [any("mapping")], Type::Any, values),
        Function::new("zipmap", [strings("keys"), any("values")], Type::Any, zip),
    ]
}

/// A list for a map, a tuple for an object.
fn keys(args: &[Value]) -> Outcome {
    let names = |entries: &BTreeMap<String, Value>| entries.keys().map(|k| Value::string(&**k)).collect();
    match &args[0].data {
        Data::Map(_, entries) => Ok(Value::list(Type::String, names(entries))),
        Data::Object(entries) => Ok(Value::tuple(names(entries))),
        _ => Err(FunctionError::argument(0, "must have map or object type")),
    }
}

/// A list for a map, a tuple for an object.
fn values(args: &[Value]) -> Outcome {
    match &args[0].data {
        Data::Map(of, entries) => Ok(Value::list(of.clone(), entries.values().cloned().collect())),
        Data::Object(entries) => Ok(Value::tuple(entries.values().cloned().collect())),
        _ => Err(FunctionError::argument(0, "values() requires a map as the first argument")),
    }
}

fn lookup(args: &[Value]) -> Outcome {
    let key = text(args, 1)?;
    match &args[0].data {
        Data::Object(entries) => Ok(entries.get(key).unwrap_or(&args[2]).clone()),
        Data::Map(of, entries) => {
            let default = convert(&args[2], of).map_err(|_| {
                FunctionError::argument(2, "the default value must have the same type as the map elements")
            })?;
            Ok(entries.get(key).cloned().unwrap_or(default))
        }
        _ => Err(FunctionError::argument(0, "lookup() requires a map as the first argument")),
    }
}

/// Later entries win. The result is a map if all arguments are of one map type, an object otherwise.
fn merge(args: &[Value]) -> Outcome {
    let mut merged = BTreeMap::new();
    let mut types = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        match &arg.data {
            Data::Null(Type::Map(_) | Type::Object(_) | Type::Any) => {}
            Data::Map(_, entries) | Data::Object(entries) => merged.extend(entries.clone()),
            _ => {
                let found = arg.ty().friendly_name();
                let message = format!("arguments must be maps or objects, got {found:?}");
                return Err(FunctionError::argument(index, message));
            }
        }
        types.push(arg.ty());
    }
    Ok(match types.first() {
        Some(Type::Map(of)) if types.iter().all(|t| t == &types[0]) => {
            Value::new(Data::Map((**of).clone(), merged))
        }
        _ => Value::object(merged),
    })
}

/// A map for a list of values, an object for a tuple.
fn zip(args: &[Value]) -> Outcome {
    let keys = items(args, 0)?;
    let (of, values) = match &args[1].data {
        Data::List(of, values) => (Some(of.clone()), values),
        Data::Tuple(values) => (None, values),
        _ => return Err(FunctionError::argument(1, "values argument must be a list or tuple value")),
    };
    if keys.len() != values.len() {
        let (keys, values) = (keys.len(), values.len());
        let message = format!("number of keys ({keys}) does not match number of values ({values})");
        return Err(FunctionError::new(message));
    }
    if !keys.iter().all(Value::is_known) {
        return Ok(Value::unknown(of.map_or(Type::Any, Type::map)));
    }
    let mut entries = BTreeMap::new();
    for (index, (key, value)) in keys.iter().zip(values).enumerate() {
        let key = key.as_str().ok_or_else(|| {
            FunctionError::argument(0, format!("keys list has null value at index {index}"))
        })?;
        entries.insert(key.to_owned(), value.clone());
    }
    Ok(match of {
        Some(of) => Value::new(Data::Map(of, entries)),
        None => Value::object(entries),
    })
}
