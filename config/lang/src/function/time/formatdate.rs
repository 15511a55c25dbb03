//! The patterns of `formatdate`: runs of one letter (`YYYY-MM-DD`), and literals in single quotes.

use super::moment::Calendar;
use crate::function::FunctionError;

/// Writes `calendar` as `pattern` says.
pub(super) fn format(pattern: &str, calendar: &Calendar) -> Result<String, FunctionError> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            literal(rest, &mut out)?
        } else if first.is_ascii_alphabetic() {
            let length = rest.bytes().take_while(|b| char::from(*b) == first).count();
            out.push_str(&verb(&rest[..length], calendar)?);
            length
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    Ok(out)
}

/// Writes the quoted literal that `rest` begins with and tells its length. Two quotes stand for one.
fn literal(rest: &str, out: &mut String) -> Result<usize, FunctionError> {
    if rest.starts_with("''") {
        out.push('\'');
        return Ok(2);
    }
    let mut at = 1;
    while let Some(c) = rest[at..].chars().next() {
        at += c.len_utf8();
        if c != '\'' {
            out.push(c);
        } else if rest[at..].starts_with('\'') {
            out.push('\'');
            at += 1;
        } else {
            return Ok(at);
        }
    }
    Err(FunctionError::argument(0, "unterminated literal '"))
}

fn verb(verb: &str, t: &Calendar) -> Result<String, FunctionError> {
    let invalid =
        |what: &str| Err(FunctionError::argument(0, format!("invalid date format verb {verb:?}: {what}")));
    let one_or_two = |n: i64, what: &str| match verb.len() {
        1 => Ok(n.to_string()),
        2 => Ok(format!("{n:02}")),
        _ => invalid(what),
    };
    match verb.as_bytes()[0] {
        b'Y' => match verb.len() {
            2 => Ok(format!("{:02}", t.year().rem_euclid(100))),
            4 => Ok(format!("{:04}", t.year())),
            _ => invalid("year must either be \"YY\" or \"YYYY\""),
        },
        b'M' => match verb.len() {
            3 => Ok(t.month_name()[..3].to_owned()),
            4 => Ok(t.month_name().to_owned()),
            _ => one_or_two(t.month(), "month must be \"M\", \"MM\", \"MMM\", or \"MMMM\""),
        },
        b'D' => one_or_two(t.day(), "day of month must either be \"D\" or \"DD\""),
        b'E' => match verb.len() {
            3 => Ok(t.weekday_name()[..3].to_owned()),
            4 => Ok(t.weekday_name().to_owned()),
            _ => invalid("day of week must either be \"EEE\" or \"EEEE\""),
        },
        b'h' => one_or_two(t.hour(), "24-hour must either be \"h\" or \"hh\""),
        b'H' => one_or_two(t.hour12(), "12-hour must either be \"H\" or \"HH\""),
        b'A' if verb.len() == 2 => Ok(if t.is_afternoon() { "PM" } else { "AM" }.to_owned()),
        b'a' if verb.len() == 2 => Ok(if t.is_afternoon() { "pm" } else { "am" }.to_owned()),
        b'A' | b'a' => invalid(&format!("must be \"{0}{0}\"", &verb[..1])),
        b'm' => one_or_two(t.minute(), "minute must either be \"m\" or \"mm\""),
        b's' => one_or_two(t.second(), "second must either be \"s\" or \"ss\""),
        b'Z' => match verb.len() {
            1 if t.offset == 0 => Ok("Z".to_owned()),
            3 if t.offset == 0 => Ok("UTC".to_owned()),
            1 | 5 => Ok(t.offset_text(":")),
            3 | 4 => Ok(t.offset_text("")),
            _ => invalid("timezone must be Z, ZZZZ, or ZZZZZ"),
        },
        _ => invalid("no such verb; quote literal letters with '"),
    }
}
