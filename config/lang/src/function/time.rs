//! Functions on dates and times. The clock is never read: the two that show the time of the start are made with
//! it ([`legacy_isotime`], [`legacy_strftime`]); `timestamp()` belongs to whoever may read clocks.

use crate::duration;
use crate::types::{ObjectAttribute, Type};
use crate::value::Value;

use super::argument::{Outcome, bounded, integer, number, string, text};
use super::{Function, FunctionError};

mod formatdate;
pub mod layout;
mod moment;
pub(in crate::function) mod rfc3339;
pub mod strftime;

pub use moment::{Calendar, Moment};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("formatdate", [string("format"), string("time")], Type::String, |args| {
            let calendar = timestamp(args, 1).and_then(|t| calendar(&t, 1))?;
            bounded(formatdate::format(text(args, 0)?, &calendar)?)
        }),
        Function::new("timeadd", [string("timestamp"), string("duration")], Type::String, |args| {
            let stamp = timestamp(args, 0)?;
            let by =
                duration::parse(text(args, 1)?).map_err(|e| FunctionError::argument(1, e.to_string()))?;
            let moment = stamp.moment.plus(by.nanoseconds);
            let sum = moment.and_then(|m| m.at_offset(stamp.offset)).ok_or_else(|| out_of_range(1))?;
            bounded(layout::format(layout::RFC3339, &sum))
        }),
        Function::new("rfc3339_parse", [string("timestamp")], parts_type("unix"), |args| {
            let stamp = rfc3339::parse_lenient(text(args, 0)?).map_err(|e| FunctionError::argument(0, e))?;
            Ok(parts(&calendar(&stamp, 0)?, ("unix", Value::from(stamp.moment.seconds))))
        }),
        Function::new("unix_timestamp_parse", [number("timestamp")], parts_type("rfc3339"), |args| {
            let moment = Moment::from_seconds(integer(args, 0)?);
            let calendar = moment.utc().ok_or_else(|| out_of_range(0))?;
            let written = layout::format(layout::RFC3339, &calendar);
            Ok(parts(&calendar, ("rfc3339", Value::from(written))))
        }),
    ]
}

/// `legacy_isotime([layout])`: the start of the process in a Go layout, RFC 3339 by default, at UTC.
pub fn legacy_isotime(start: Moment) -> Function {
    shown_at_start("legacy_isotime", start, |pattern, calendar| {
        layout::format(pattern.unwrap_or(layout::RFC3339), calendar)
    })
}

/// `legacy_strftime([format])`: the start of the process in a pattern of strftime, at UTC; empty without one.
pub fn legacy_strftime(start: Moment) -> Function {
    shown_at_start("legacy_strftime", start, |pattern, calendar| {
        strftime::format(pattern.unwrap_or(""), calendar)
    })
}

fn shown_at_start(
    name: &'static str,
    start: Moment,
    show: impl Fn(Option<&str>, &Calendar) -> String + Send + Sync + 'static,
) -> Function {
    let body = move |args: &[Value]| -> Outcome {
        if args.len() > 1 {
            return Err(FunctionError::argument(1, "too many values, 1 needed"));
        }
        let calendar = start.utc().ok_or_else(|| out_of_range(0))?;
        let pattern = if args.is_empty() { None } else { Some(text(args, 0)?) };
        bounded(show(pattern, &calendar))
    };
    Function::new(name, [string("format")], Type::String, body).optional(1)
}

fn timestamp(args: &[Value], index: usize) -> Result<rfc3339::Timestamp, FunctionError> {
    rfc3339::parse(text(args, index)?).map_err(|e| FunctionError::argument(index, e))
}

fn calendar(stamp: &rfc3339::Timestamp, argument: usize) -> Result<Calendar, FunctionError> {
    stamp.moment.at_offset(stamp.offset).ok_or_else(|| out_of_range(argument))
}

fn out_of_range(argument: usize) -> FunctionError {
    FunctionError::argument(argument, "the time is outside of the years -9999 to 9999")
}

const NUMBERS: [&str; 9] =
    ["year", "year_day", "day", "month", "weekday", "hour", "minute", "second", "iso_year"];

fn parts_type(other: &str) -> Type {
    let numbers = NUMBERS.iter().chain(&["iso_week"]).map(|n| (*n, Type::Number));
    let names = [("month_name", Type::String), ("weekday_name", Type::String)];
    let other = (other, if other == "unix" { Type::Number } else { Type::String });
    let all = numbers.chain(names).chain([other]);
    Type::Object(all.map(|(name, ty)| (name.to_owned(), ObjectAttribute::required(ty))).collect())
}

fn parts(t: &Calendar, other: (&str, Value)) -> Value {
    let (iso_year, iso_week) = t.iso_week();
    let numbers = [
        ("year", t.year()),
        ("year_day", t.year_day()),
        ("day", t.day()),
        ("month", t.month()),
        ("weekday", t.weekday()),
        ("hour", t.hour()),
        ("minute", t.minute()),
        ("second", t.second()),
        ("iso_year", iso_year),
        ("iso_week", iso_week),
    ];
    let names = [("month_name", t.month_name()), ("weekday_name", t.weekday_name())];
    let numbers = numbers.into_iter().map(|(name, n)| (name, Value::from(n)));
    let names = names.into_iter().map(|(name, text)| (name, Value::from(text)));
    Value::object(numbers.chain(names).chain([other]).map(|(name, value)| (name.to_owned(), value)))
}
