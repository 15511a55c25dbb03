//! Values as text for people: what `console` and `inspect` print, and the text that would yield a value.

use std::fmt::Write as _;

use bigdecimal::{Signed as _, ToPrimitive as _};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::value::{Data, Number, Value};

const UNKNOWN: &str = "<unknown>";
const SENSITIVE: &str = "<sensitive>";

/// The value as `console` prints it: text bare, collections over several lines, `<unknown>` unless all of it
/// is known, `<sensitive>` in the place of everything marked, except null and empty text, which tell nothing.
pub fn console_text(value: &Value) -> String {
    if !value.is_wholly_known() {
        return UNKNOWN.to_owned();
    }
    match value.as_str() {
        Some(text) if !hides(value) => text.to_owned(),
        _ => {
            let mut text = String::new();
            write_console(value, 0, &mut text);
            text
        }
    }
}

fn hides(value: &Value) -> bool {
    value.sensitive && !value.is_null() && value.as_str() != Some("")
}

fn write_console(value: &Value, indent: usize, text: &mut String) {
    let quoted = matches!(value.data, Data::String(_)) && indent > 0;
    match &value.data {
        _ if hides(value) && quoted => {
            let _ = write!(text, "\"{SENSITIVE}\"");
        }
        _ if hides(value) => text.push_str(SENSITIVE),
        Data::Null(_) => text.push_str("null"),
        Data::Unknown(_) => text.push_str(UNKNOWN),
        Data::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        Data::Number(number) => text.push_str(&go_number(number)),
        Data::String(s) => text.push_str(&go_quoted(s)),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            text.push('[');
            for item in items {
                let _ = write!(text, "\n{:width$}", "", width = indent + 2);
                write_console(item, indent + 2, text);
                text.push(',');
            }
            close(items.is_empty(), ']', indent, text);
        }
        Data::Map(_, entries) | Data::Object(entries) => {
            text.push('{');
            // A member that is null counts as absent.
            let present: Vec<_> = entries.iter().filter(|(_, item)| !item.is_null()).collect();
            for (key, item) in &present {
                let _ = write!(text, "\n{:width$}{} = ", "", go_quoted(key), width = indent + 2);
                write_console(item, indent + 2, text);
            }
            close(present.is_empty(), '}', indent, text);
        }
    }
}

fn close(empty: bool, bracket: char, indent: usize, text: &mut String) {
    if !empty {
        let _ = write!(text, "\n{:indent$}", "");
    }
    text.push(bracket);
}

/// A whole number of 64 bits as such, any other as Go's `%g` shows a 64-bit float.
fn go_number(number: &Number) -> String {
    match number.is_integer().then(|| number.to_i64()).flatten() {
        Some(whole) => whole.to_string(),
        None => go_float(number),
    }
}

fn go_float(number: &Number) -> String {
    let float = match number.to_f64() {
        Some(float) if float.is_finite() => float,
        _ => return if number.is_negative() { "-Inf".to_owned() } else { "+Inf".to_owned() },
    };
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // The bounds of Go's shortest form.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{float}")
}

/// Text between double quotes with Go's escapes, as Packer shows text within collections and in `inspect`.
pub fn go_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) < 0x80 => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether Go takes a character for printable: neither control nor format nor unassigned nor, but for the
/// plain space, white.
fn is_printable(c: char) -> bool {
    if c == ' ' || c.is_ascii_graphic() {
        return true;
    }
    let joiner = matches!(c, '\u{200c}' | '\u{200d}');
    let combines = || format!("a{c}").graphemes(true).count() == 1;
    let escaped = c.escape_debug().next() == Some('\\');
    !c.is_whitespace() && !joiner && (!escaped || combines())
}

/// The text that yields the value when it is parsed and evaluated, on one line: collections as `[…]` and
/// `{…}`. Nothing is hidden: the text of a sensitive value is a secret itself. What is unknown has no such
/// text and is shown as `<unknown>`.
pub fn literal_text(value: &Value) -> String {
    let mut text = String::new();
    write_literal(value, &mut text);
    text
}

fn write_literal(value: &Value, text: &mut String) {
    match &value.data {
        Data::Null(_) => text.push_str("null"),
        Data::Unknown(_) => text.push_str(UNKNOWN),
        Data::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        Data::Number(number) => text.push_str(&crate::convert::number_text(number)),
        Data::String(s) => text.push_str(&quoted(s)),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                text.push_str(if i > 0 { ", " } else { "" });
                write_literal(item, text);
            }
            text.push(']');
        }
        Data::Map(_, entries) | Data::Object(entries) if entries.is_empty() => text.push_str("{}"),
        Data::Map(_, entries) | Data::Object(entries) => {
            for (i, (key, item)) in entries.iter().enumerate() {
                text.push_str(if i > 0 { ", " } else { "{ " });
                let word = is_word(key);
                text.push_str(&if word { key.clone() } else { quoted(key) });
                text.push_str(" = ");
                write_literal(item, text);
            }
            text.push_str(" }");
        }
    }
}

/// Whether a key needs no quotes.
fn is_word(key: &str) -> bool {
    let mut letters = key.chars();
    // "for" would begin a for-expression.
    key != "for"
        && letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Text between double quotes as templates write it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if letters.peek() == Some(&'{') => quoted.extend([c, c]),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Type;
    use crate::{Scope, SourceFile, evaluate, parse};

    fn value(text: &str) -> Value {
        let expression = parse::expression(&SourceFile::new("t", text)).unwrap();
        evaluate(&expression, &Scope::literals_only()).unwrap()
    }

    #[test]
    fn the_console_shows_values_as_packer_does() {
        let table = [
            ("\"a\\nb\"", "a\nb"),
            ("5", "5"),
            ("0.5", "0.5"),
            ("1234567.5", "1.2345675e+06"),
            ("0.00001", "1e-05"),
            ("4294967295", "4294967295"),
            ("100000000000000000000", "1e+20"),
            ("true", "true"),
            ("null", "null"),
            ("[]", "[]"),
            ("{}", "{}"),
            ("[1, \"x\\ty\", [true]]", "[\n  1,\n  \"x\\ty\",\n  [\n    true,\n  ],\n]"),
            ("{b = 1, a = {c = []}}", "{\n  \"a\" = {\n    \"c\" = []\n  }\n  \"b\" = 1\n}"),
            ("{b = null, a = [null, {c = null}]}", "{\n  \"a\" = [\n    null,\n    {},\n  ]\n}"),
        ];
        for (text, shown) in table {
            assert_eq!(console_text(&value(text)), shown, "{text}");
        }
        assert_eq!(console_text(&Value::tuple(vec![Value::unknown(Type::String)])), "<unknown>");
    }

    #[test]
    fn the_console_shows_nothing_sensitive() {
        let secret = Value::from("s").marked(true);
        assert_eq!(console_text(&secret), "<sensitive>");
        assert_eq!(console_text(&Value::tuple(vec![secret])), "[\n  \"<sensitive>\",\n]");
        assert_eq!(console_text(&Value::object([]).marked(true)), "<sensitive>");
        assert_eq!(console_text(&Value::from("").marked(true)), "");
        assert_eq!(console_text(&Value::null().marked(true)), "null");
    }

    #[test]
    fn go_escapes_what_is_not_printable() {
        assert_eq!(
            go_quoted("é\u{301}\u{1b}\u{200b}\u{a0}\u{e000}\"\\"),
            "\"é\u{301}\\x1b\\u200b\\u00a0\\ue000\\\"\\\\\""
        );
    }

    #[test]
    fn literals_are_as_short_as_can_be_read() {
        let text = "[1, \"$${a}\", { a-b = null, \"for\" = true, \"x y\" = {} }]";
        assert_eq!(literal_text(&value(text)), text);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            "[$%{}\"~\\\\n]{0,8}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::null()),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
                prop::collection::vec((any::<String>(), inner), 0..4).prop_map(Value::object),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_literal_text_of_a_value_yields_it(value in values()) {
            let text = literal_text(&value);
            prop_assert_eq!(super::tests::value(&text), value);
        }
    }
}
