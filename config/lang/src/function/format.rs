//! `format` and `formatlist`: verbs as in C, checked more strictly. Numbers look as Go prints its big ones.
//!
//! ```text
//!   %  flags (0 # - + blank)  width  .precision  [argument]  verb
//! ```

use unicode_segmentation::UnicodeSegmentation;

use super::argument::{Outcome, any, bounded, check_size, string, text};
use super::{Function, FunctionError, json};
use crate::convert::convert;
use crate::types::Type;
use crate::value::{Data, Value};

mod number;
mod verb;

use verb::{Piece, Verb};

pub(super) fn functions() -> Vec<Function> {
    let arguments = || any("args").nullable().unknowable();
    vec![
        Function::new("format", [string("format")], Type::String, |args| {
            if !args.iter().all(Value::is_wholly_known) {
                return Ok(Value::unknown(Type::String));
            }
            bounded(render(text(args, 0)?, &args[1..].iter().collect::<Vec<_>>())?)
        })
        .variadic(arguments()),
        Function::new("formatlist", [string("format")], Type::list(Type::String), format_list)
            .variadic(arguments()),
    ]
}

/// One text for each member of the lists among the arguments; single values go into all of them.
fn format_list(args: &[Value]) -> Outcome {
    let format = text(args, 0)?;
    let mut chooser: Option<(usize, usize)> = None;
    for (index, arg) in args.iter().enumerate().skip(1) {
        if !arg.is_known() && !is_single(&arg.ty()) {
            return Ok(Value::unknown(Type::list(Type::String)));
        }
        let Some(length) = arg.as_items().map(<[Value]>::len) else { continue };
        match chooser {
            Some((first, expected)) if length != expected => {
                let message = format!(
                    "argument {index} has length {length}, which is inconsistent with argument {first} of length {expected}"
                );
                return Err(FunctionError::argument(index, message));
            }
            _ => chooser = chooser.or(Some((index, length))),
        }
    }
    let rounds = chooser.map_or(1, |(_, length)| length);
    let mut texts = Vec::with_capacity(rounds);
    let mut size = 0;
    for round in 0..rounds {
        let row: Vec<&Value> =
            args[1..].iter().map(|arg| arg.as_items().map_or(arg, |i| &i[round])).collect();
        if !row.iter().all(|value| value.is_wholly_known()) {
            texts.push(Value::unknown(Type::String));
            continue;
        }
        let text = render(format, &row).map_err(|e| match chooser {
            Some(_) => FunctionError::new(format!("error on format iteration {round}: {e}")),
            None => e,
        })?;
        size += text.len();
        check_size(size)?;
        texts.push(Value::string(text));
    }
    Ok(Value::list(Type::String, texts))
}

fn is_single(ty: &Type) -> bool {
    ty.is_primitive() || matches!(ty, Type::Map(_) | Type::Object(_))
}

fn render(format: &str, args: &[&Value]) -> Result<String, FunctionError> {
    let mut out = String::new();
    let mut next = 1;
    let mut highest = 0;
    for piece in verb::pieces(format) {
        match piece? {
            Piece::Text(text) => out.push_str(text),
            Piece::Verb(mut verb) => {
                let number = verb.argument.unwrap_or(next);
                next = number + 1;
                highest = highest.max(number);
                let argument = number.checked_sub(1).and_then(|i| args.get(i)).ok_or_else(|| {
                    FunctionError::new(format!(
                        "not enough arguments for {:?} at {}: need index {number} but have {} total",
                        verb.raw,
                        verb.offset,
                        args.len()
                    ))
                })?;
                verb.argument = Some(number);
                out.push_str(&one(&verb, argument)?);
                check_size(out.len())?;
            }
        }
    }
    if highest >= args.len() {
        return Ok(out);
    }
    let message = match highest {
        0 => "too many arguments; no verbs in format string".to_owned(),
        used => format!("too many arguments; only {used} used by format string"),
    };
    Err(FunctionError::argument(highest + 1, message))
}

fn one(verb: &Verb<'_>, value: &Value) -> Result<String, FunctionError> {
    let unsupported = |why: String| {
        FunctionError::new(format!("unsupported value for {:?} at {}: {why}", verb.raw, verb.offset))
    };
    if verb.letter != 'v' && value.is_null() {
        return Err(unsupported("null value cannot be formatted".to_owned()));
    }
    let to = |ty: Type| convert(value, &ty).map_err(|e| unsupported(e.to_string()));
    match verb.letter {
        'v' => {
            let plain = match &value.data {
                Data::String(text) if !verb.has('#') => text.to_string(),
                Data::Number(n) if !verb.has('#') => number::general(n, None, 'e'),
                _ => json::encode(value)?,
            };
            Ok(pad(verb, plain))
        }
        't' => Ok(to(Type::Bool)?.as_bool().unwrap_or_default().to_string()),
        'b' | 'd' | 'o' | 'x' | 'X' => {
            let number = to(Type::Number)?;
            let whole = number.as_number().and_then(number::whole);
            whole
                .map(|n| number::integer(verb, &n))
                .ok_or_else(|| unsupported("an integer is required".to_owned()))
        }
        'e' | 'E' | 'f' | 'g' | 'G' => {
            let number = to(Type::Number)?;
            Ok(number.as_number().map(|n| number::float(verb, n)).unwrap_or_default())
        }
        's' | 'q' => {
            let value = to(Type::String)?;
            let text = value.as_str().unwrap_or_default();
            let cut: String = match verb.precision {
                Some(count) if count > 0 => text.graphemes(true).take(count).collect(),
                _ => text.to_owned(),
            };
            let shown = if verb.letter == 'q' { json::encode(&Value::string(cut))? } else { cut };
            Ok(pad(verb, shown))
        }
        letter => Err(FunctionError::new(format!(
            "unsupported format verb {letter:?} in {:?} at offset {}",
            verb.raw, verb.offset
        ))),
    }
}

/// Pads to the width, counted in characters as people see them.
fn pad(verb: &Verb<'_>, text: String) -> String {
    let missing = verb.width.unwrap_or(0).saturating_sub(text.graphemes(true).count());
    let padding = if verb.has('0') { "0" } else { " " }.repeat(missing);
    if verb.has('-') { text + &padding } else { padding + &text }
}
