//! What a scalar means: `yes` is true, `~` is null, `0x1f` is a number, a date is a timestamp's text.

use std::sync::LazyLock;

use regex::Regex;
use saphyr_parser::ScalarStyle;

use crate::convert::convert;
use crate::function::encoding::decode_base64;
use crate::function::time::layout;
use crate::function::time::rfc3339;
use crate::types::Type;
use crate::value::{Number, Value};

/// Fixed patterns compile.
fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a fixed pattern compiles")
}

static INTEGER: LazyLock<Regex> = LazyLock::new(|| fixed("^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"));
static FLOAT: LazyLock<Regex> =
    LazyLock::new(|| fixed(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"));
static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    fixed(
        r"^(\d{4})-(\d{1,2})-(\d{1,2})(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(Z|[-+]\d{2}:\d{2})?)?$",
    )
});

/// The value of a scalar with the given core tag (`str`, `int`, …; `None` when it has none).
pub(super) fn resolve(tag: Option<&str>, source: &str, style: ScalarStyle) -> Result<Value, String> {
    let quoted = style != ScalarStyle::Plain;
    match tag {
        Some("str") => Ok(Value::from(source)),
        Some("binary") => decode_base64(source)
            .map(|_| Value::from(source))
            .map_err(|_| format!("cannot parse {source:?} as !!binary: not valid base64")),
        _ if quoted && hints_at_type(source) => Ok(Value::from(source)),
        _ => match implied(tag, source)? {
            Some(value) => Ok(value),
            None => tagged(tag, source),
        },
    }
}

/// Whether the first character is one that something else than text can begin with.
fn hints_at_type(source: &str) -> bool {
    source.chars().next().is_none_or(|c| c.is_ascii_digit() || "+-.~yYnNtTfFoO".contains(c))
}

fn implied(tag: Option<&str>, source: &str) -> Result<Option<Value>, String> {
    if !hints_at_type(source) {
        return Ok(None);
    }
    Ok(Some(match source {
        "" | "~" | "null" | "Null" | "NULL" => Value::null(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Err("an infinite number is not supported".to_owned());
        }
        ".nan" | ".NaN" | ".NAN" if tag.is_none() => {
            return Err("floating point NaN is not supported".to_owned());
        }
        _ => match (truth(source), timestamp(source)) {
            (Some(b), _) => Value::bool(b),
            (_, Some(text)) if matches!(tag, None | Some("timestamp")) => Value::from(text),
            _ if INTEGER.is_match(source) || FLOAT.is_match(source) => return number(source).map(Some),
            _ => return Ok(None),
        },
    }))
}

fn tagged(tag: Option<&str>, source: &str) -> Result<Value, String> {
    let misfit = |tag: &str| Err(format!("cannot parse {source:?} as !!{tag}"));
    match tag {
        None => Ok(Value::from(source)),
        Some("null") => Ok(Value::null()),
        Some(tag @ ("bool" | "timestamp")) => misfit(tag),
        Some(tag @ ("int" | "float")) => number(&source.replace('_', "")).or_else(|_| misfit(tag)),
        Some(other) => Err(format!("unsupported tag \"!!{other}\"")),
    }
}

fn truth(source: &str) -> Option<bool> {
    match source {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number(source: &str) -> Result<Value, String> {
    let other_base = [("0x", 16), ("0o", 8)].into_iter().find_map(|(prefix, base)| {
        source.strip_prefix(prefix).map(|digits| i128::from_str_radix(digits, base))
    });
    let too_large = || format!("the number {source} is too large");
    match other_base {
        Some(parsed) => parsed.map(|n| Value::number(Number::from(n))).map_err(|_| too_large()),
        None => convert(&Value::from(source), &Type::Number).map_err(|_| too_large()),
    }
}

/// A date or time as RFC 3339 writes it, without fractions.
fn timestamp(source: &str) -> Option<String> {
    let parts = TIMESTAMP.captures(source)?;
    let part = |i: usize| parts.get(i).map_or("", |m| m.as_str());
    let zone_fits = match part(4) {
        " " | "" => part(9).is_empty(),
        _ => !part(9).is_empty(),
    };
    if !zone_fits {
        return None;
    }
    let zone = if part(9).is_empty() { "Z" } else { part(9) };
    let [year, month, day, hour, minute, second] = [1, 2, 3, 5, 6, 7].map(part);
    let full = format!("{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}{zone}");
    let stamp = rfc3339::parse(&full).ok()?;
    Some(layout::format(layout::RFC3339, &stamp.moment.at_offset(stamp.offset)?))
}
