//! `jsonencode` and `jsondecode`. Numbers keep all their digits in both directions.

use super::argument::{any, bounded, check_size, needs_all, string, text};
use super::{Function, FunctionError};
use crate::convert::number_text;
use crate::json_text::quote;
use crate::types::Type;
use crate::value::{Data, Value};

mod read;

/// What Go escapes beyond what JSON asks for.
const HTML: &[char] = &['<', '>', '&'];

pub(super) fn functions() -> Vec<Function> {
    vec![
        needs_all(Function::new("jsonencode", [any("val").nullable()], Type::String, |args| {
            bounded(encode(&args[0])?)
        })),
        Function::new("jsondecode", [string("str")], Type::Any, |args| {
            read::value(text(args, 0)?).map_err(|e| FunctionError::argument(0, e))
        }),
    ]
}

/// Compact JSON, with `< > &` escaped as Go does it.
pub(super) fn encode(value: &Value) -> Result<String, FunctionError> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), FunctionError> {
    check_size(out.len())?;
    match &value.data {
        Data::Null(_) => out.push_str("null"),
        Data::Unknown(_) => return Err(FunctionError::new("a value that isn't known yet has no JSON form")),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => out.push_str(&number_text(n)),
        Data::String(text) => quote(text, HTML, out),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Data::Map(_, entries) | Data::Object(entries) => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(key, HTML, out);
                out.push(':');
                write(item, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}
