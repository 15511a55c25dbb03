//! Functions that make lists and tuples out of others.

use std::collections::HashSet;

use bigdecimal::Zero;

use super::argument::{Outcome, any, integer, items, needs_all, number, strings, uniform_items};
use super::collection::identity;
use super::{Function, FunctionError, Parameter};
use crate::convert::{convert, unify};
use crate::types::Type;
use crate::value::{Data, Number, Value};

/// The most numbers that `range` yields, as in cty.
const MAX_RANGE: usize = 1024;
/// How deep `flatten` goes into lists in lists.
const MAX_DEPTH: usize = 64;

pub(super) fn functions() -> Vec<Function> {
    let list = || Parameter::new("list", Type::list(Type::Any));
    vec![
        Function::new("chunklist", [list(), number("size")], Type::Any, chunks),
        needs_all(Function::new("compact", [strings("list")], Type::list(Type::String), compact)),
        Function::new("concat", [], Type::Any, concat).variadic(any("seqs")),
        needs_all(Function::new("distinct", [list()], Type::Any, distinct)),
        Function::new("flatten", [any("list")], Type::Any, flatten),
        Function::new("range", [], Type::list(Type::Number), range).variadic(number("params")),
        Function::new("reverse", [any("list")], Type::Any, reverse),
        Function::new("slice", [any("list"), number("start_index"), number("end_index")], Type::Any, slice),
        needs_all(Function::new("sort", [strings("list")], Type::list(Type::String), sort)),
    ]
}

fn member_type(list: &Value) -> Type {
    match &list.data {
        Data::List(of, _) | Data::Set(of, _) => of.clone(),
        _ => Type::Any,
    }
}

/// `chunklist(list, size)`; 0 puts all into one.
fn chunks(args: &[Value]) -> Outcome {
    let members = uniform_items(args, 0)?;
    let size = usize::try_from(integer(args, 1)?)
        .map_err(|_| FunctionError::argument(1, "the size argument must be positive"))?;
    let of = member_type(&args[0]);
    let size = if size == 0 { members.len().max(1) } else { size };
    let chunks = members.chunks(size).map(|chunk| Value::list(of.clone(), chunk.to_vec())).collect();
    Ok(Value::list(Type::list(of), chunks))
}

fn compact(args: &[Value]) -> Outcome {
    let kept = items(args, 0)?.iter().filter(|v| v.as_str().is_some_and(|s| !s.is_empty()));
    Ok(Value::list(Type::String, kept.cloned().collect()))
}

/// A list if all are lists whose members fit one type, a tuple otherwise.
fn concat(args: &[Value]) -> Outcome {
    if args.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    let all_lists = args.iter().all(|arg| matches!(arg.data, Data::List(..)));
    if let Some(of) = unify(args.iter().map(member_type)).filter(|_| all_lists) {
        let list = Type::list(of.clone());
        if let Ok(lists) = args.iter().map(|arg| convert(arg, &list)).collect::<Result<Vec<_>, _>>() {
            let members = lists.iter().flat_map(|l| l.as_items().unwrap_or_default()).cloned();
            return Ok(Value::list(of, members.collect()));
        }
    }
    let mut members = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        match &arg.data {
            Data::List(_, more) | Data::Tuple(more) => members.extend(more.iter().cloned()),
            _ => {
                let found = arg.ty().friendly_name();
                let message = format!("all arguments must be lists or tuples; got {found}");
                return Err(FunctionError::argument(index, message));
            }
        }
    }
    Ok(Value::tuple(members))
}

fn distinct(args: &[Value]) -> Outcome {
    let mut texts: HashSet<&str> = HashSet::new();
    let mut others: HashSet<String> = HashSet::new();
    let mut kept: Vec<Value> = Vec::new();
    for member in uniform_items(args, 0)? {
        let is_new = match member.as_str() {
            Some(text) => texts.insert(text),
            None => others.insert(identity(member)),
        };
        if is_new {
            kept.push(member.clone());
        }
    }
    Ok(Value::list(member_type(&args[0]), kept))
}

fn flatten(args: &[Value]) -> Outcome {
    if args[0].as_items().is_none() {
        return Err(FunctionError::argument(0, "can only flatten lists, sets and tuples"));
    }
    let mut flat = Vec::new();
    match flatten_into(&args[0], 0, &mut flat)? {
        true => Ok(Value::tuple(flat)),
        false => Ok(Value::unknown(Type::Any)),
    }
}

/// Whether everything that may be a list is known.
fn flatten_into(list: &Value, depth: usize, flat: &mut Vec<Value>) -> Result<bool, FunctionError> {
    if depth > MAX_DEPTH {
        return Err(FunctionError::argument(0, format!("lists are nested deeper than {MAX_DEPTH} levels")));
    }
    let mut known = true;
    for member in list.as_items().unwrap_or_default() {
        let member = member.clone().marked(list.sensitive);
        match &member.data {
            Data::List(..) | Data::Set(..) | Data::Tuple(_) => {
                known &= flatten_into(&member, depth + 1, flat)?;
            }
            Data::Unknown(Type::Any | Type::List(_) | Type::Set(_) | Type::Tuple(_)) => known = false,
            _ => flat.push(member),
        }
    }
    Ok(known)
}

/// `range(end)`, `range(start, end)`, `range(start, end, step)`; the end is left out.
fn range(args: &[Value]) -> Outcome {
    let numbers: Option<Vec<&Number>> = args.iter().map(Value::as_number).collect();
    let zero = Number::zero();
    let (start, end, step) = match numbers.as_deref() {
        Some([end]) => (&zero, *end, None),
        Some([start, end]) => (*start, *end, None),
        Some([start, end, step]) => (*start, *end, Some((*step).clone())),
        _ => return Err(FunctionError::new("must have one, two, or three arguments")),
    };
    let step = step.unwrap_or_else(|| Number::from(if end < start { -1 } else { 1 }));
    if step.is_zero() {
        return Err(FunctionError::argument(2, "step must not be zero"));
    }
    let down = step < zero;
    if down && end > start {
        return Err(FunctionError::argument(1, "end must be less than start when step is negative"));
    }
    if !down && end < start {
        return Err(FunctionError::argument(1, "end must be greater than start when step is positive"));
    }
    let mut next = start.clone();
    let mut members = Vec::new();
    while if down { next > *end } else { next < *end } {
        if members.len() >= MAX_RANGE {
            return Err(FunctionError::new(
                "more than 1024 values were generated; either decrease the difference between start and end or use \
                 a smaller step",
            ));
        }
        members.push(Value::number(next.clone()));
        next += &step;
    }
    Ok(Value::list(Type::Number, members))
}

/// A set comes out as a list.
fn reverse(args: &[Value]) -> Outcome {
    let reversed = |members: &[Value]| members.iter().rev().cloned().collect::<Vec<_>>();
    match &args[0].data {
        Data::Tuple(members) => Ok(Value::tuple(reversed(members))),
        Data::List(of, members) | Data::Set(of, members) => Ok(Value::list(of.clone(), reversed(members))),
        _ => {
            let found = args[0].ty().friendly_name();
            let message = format!("can only reverse list or tuple values, not {found}");
            Err(FunctionError::argument(0, message))
        }
    }
}

/// `slice(list, start, end)`; the end is left out.
fn slice(args: &[Value]) -> Outcome {
    let members = match &args[0].data {
        Data::List(_, members) | Data::Tuple(members) => members,
        Data::Set(..) => {
            let message = "cannot slice a set, because its elements do not have indices; explicitly convert to a list \
                           if the ordering of the result is not important";
            return Err(FunctionError::argument(0, message));
        }
        _ => return Err(FunctionError::argument(0, "must be a list or tuple value")),
    };
    let bound = |index: usize, name: &str| {
        let position = usize::try_from(integer(args, index)?).map_err(|_| {
            FunctionError::argument(index, format!("{name} index must not be less than zero"))
        })?;
        if position > members.len() {
            let message = format!("{name} index must not be greater than the length of the list");
            return Err(FunctionError::argument(index, message));
        }
        Ok(position)
    };
    let (start, end) = (bound(1, "start")?, bound(2, "end")?);
    if start > end {
        return Err(FunctionError::argument(1, "start index must not be greater than end index"));
    }
    let kept = members[start..end].to_vec();
    Ok(match &args[0].data {
        Data::List(of, _) => Value::list(of.clone(), kept),
        _ => Value::tuple(kept),
    })
}

fn sort(args: &[Value]) -> Outcome {
    let mut members = items(args, 0)?.to_vec();
    if let Some(index) = members.iter().position(Value::is_null) {
        let message = format!("given list element {index} is null; a null string cannot be sorted");
        return Err(FunctionError::argument(0, message));
    }
    members.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok(Value::list(Type::String, members))
}
