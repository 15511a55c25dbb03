//! Functions on sets.

use std::collections::HashSet;

use super::argument::{MAX_ITEMS, Outcome, items, needs_all, uniform_items};
use super::collection::identity;
use super::{Function, FunctionError, Parameter};
use crate::convert::{convert, set, unify};
use crate::function::argument::any;
use crate::types::Type;
use crate::value::{Data, Value};

pub(super) fn functions() -> Vec<Function> {
    let sets = |name| Parameter::new(name, Type::set(Type::Any));
    let operation = |name, keep: fn(&[HashSet<String>], &str) -> bool| {
        let body = move |args: &[Value]| combine(args, keep);
        needs_all(
            Function::new(name, [sets("first_set")], Type::set(Type::Any), body).variadic(sets("other_sets")),
        )
    };
    vec![
        operation("setunion", |_, _| true),
        operation("setintersection", |all, member| all.iter().all(|set| set.contains(member))),
        Function::new("setproduct", [], Type::Any, product).variadic(any("sets")),
    ]
}

/// All members of all sets, converted to one type, that `keep` wants.
fn combine(args: &[Value], keep: fn(&[HashSet<String>], &str) -> bool) -> Outcome {
    let of = |arg: &Value| match &arg.data {
        Data::Set(of, members) if members.is_empty() && *of == Type::Any => None,
        Data::Set(of, _) => Some(of.clone()),
        _ => None,
    };
    let of = unify(args.iter().filter_map(of))
        .ok_or_else(|| FunctionError::new("given sets must all have compatible element types"))?;
    let mut sets: Vec<Vec<Value>> = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        uniform_items(args, index)?;
        let converted = convert(arg, &Type::set(of.clone()))
            .map_err(|e| FunctionError::argument(index, e.to_string()))?;
        sets.push(converted.as_items().unwrap_or_default().to_vec());
    }
    let identities: Vec<HashSet<String>> =
        sets.iter().map(|set| set.iter().map(identity).collect()).collect();
    let wanted = |member: &&Value| keep(&identities, &identity(member));
    let members = sets.iter().flatten().filter(wanted).cloned().collect();
    Ok(Value::new(set(of, members)))
}

/// Every combination of one member of each; a list when all arguments are lists or tuples, a set otherwise.
fn product(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return Err(FunctionError::new("at least two arguments are required"));
    }
    let mut types = Vec::new();
    let mut total = 1_usize;
    for (index, arg) in args.iter().enumerate() {
        types.push(match &arg.data {
            Data::Set(of, _) | Data::List(of, _) => of.clone(),
            Data::Tuple(members) => unify(members.iter().map(Value::ty))
                .ok_or_else(|| FunctionError::argument(index, "all elements must be of the same type"))?,
            _ => return Err(FunctionError::argument(index, "a set or a list is required")),
        });
        total = total.saturating_mul(items(args, index)?.len());
    }
    if total.saturating_mul(args.len()) > MAX_ITEMS {
        return Err(FunctionError::new(format!("the product would have {total} members, which is too many")));
    }
    let mut rows = vec![Vec::new()];
    for (index, of) in types.iter().enumerate() {
        let mut longer = Vec::with_capacity(total);
        for row in &rows {
            for member in items(args, index)? {
                let member =
                    convert(member, of).map_err(|e| FunctionError::argument(index, e.to_string()))?;
                longer.push(row.iter().cloned().chain([member]).collect());
            }
        }
        rows = longer;
    }
    let of = Type::Tuple(types);
    let rows: Vec<Value> = rows.into_iter().map(Value::tuple).collect();
    let unordered = args.iter().any(|arg| matches!(arg.data, Data::Set(..)));
    Ok(if unordered { Value::new(set(of, rows)) } else { Value::list(of, rows) })
}
