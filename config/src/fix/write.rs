//! JSON as Go's encoder writes it: keys sorted, indented by two blanks, `&` and the line separators of Unicode
//! escaped, `<` and `>` not.

use std::fmt::Write as _;

use kiln_lang::json_text::quote;
use serde_json::{Number, Value};

/// The whole, without a line break at the end.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => number(n, out),
        Value::String(text) => quote(text, &['&'], out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                next_line(i > 0, indent + 2, out);
                write(item, indent + 2, out);
            }
            close(items.is_empty(), ']', indent, out);
        }
        Value::Object(entries) => {
            out.push('{');
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            for (i, (key, item)) in entries.iter().enumerate() {
                next_line(i > 0, indent + 2, out);
                quote(key, &['&'], out);
                out.push_str(": ");
                write(item, indent + 2, out);
            }
            close(entries.is_empty(), '}', indent, out);
        }
    }
}

fn next_line(comma: bool, indent: usize, out: &mut String) {
    out.push_str(if comma { ",\n" } else { "\n" });
    out.extend(std::iter::repeat_n(' ', indent));
}

fn close(empty: bool, bracket: char, indent: usize, out: &mut String) {
    if !empty {
        next_line(false, indent, out);
    }
    out.push(bracket);
}

/// A whole number as such, any other in the shortest form, with an exponent where Go has one.
fn number(number: &Number, out: &mut String) {
    let float = match number.as_f64() {
        Some(float) if number.is_f64() => float,
        _ => return out.push_str(&number.to_string()),
    };
    if float == 0.0 || (1e-6..1e21).contains(&float.abs()) {
        let _ = write!(out, "{float}");
        return;
    }
    let scientific = format!("{float:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            let _ = write!(out, "{digits}e+{exponent}");
        }
        _ => out.push_str(&scientific),
    }
}
