//! The built-in functions that make text, with a bound: in Go `{{ $x = print $x $x }}` doubles a text as often as it
//! stands there, and `printf` pads to any width.

use std::fmt::Write as _;
use std::sync::Arc;

use gotmpl::{Template, TemplateError as Raised, Value as Tv, ValueFunc};

/// The most text that the arguments of one call may hold, in bytes.
const MAX_ARGUMENTS: usize = 4 << 20;
/// The most text that one call may make, in bytes.
const MAX_RESULT: usize = 64 << 20;
/// The widest that `printf` pads.
const MAX_WIDTH: usize = u16::MAX as usize;

/// The bounded function that replaces a built-in one; `None` for those that make no text.
pub(super) fn built_in(name: &str) -> Option<ValueFunc> {
    let make: fn(&[Tv]) -> Result<String, Raised> = match name {
        "print" => |args| Ok(joined(args, false)),
        "println" => |args| Ok(joined(args, true)),
        "printf" => printf,
        "html" => |args| Ok(gotmpl::html_escape(&single("html", args)?)),
        "js" => |args| Ok(gotmpl::js_escape(&single("js", args)?)),
        "urlquery" => |args| Ok(gotmpl::url_encode(&single("urlquery", args)?)),
        _ => return None,
    };
    let name = name.to_owned();
    Some(Arc::new(move |args: &[Tv]| {
        check_arguments(&name, args)?;
        make(args).map(|text| Tv::String(text.into()))
    }))
}

/// Refuses calls whose arguments are longer than [`MAX_ARGUMENTS`].
pub(super) fn check_arguments(name: &str, args: &[Tv]) -> Result<(), Raised> {
    let mut left = MAX_ARGUMENTS;
    if args.iter().all(|arg| fits(arg, &mut left)) {
        return Ok(());
    }
    Err(Raised::Exec(format!("{name}: the arguments are longer than {} MiB", MAX_ARGUMENTS >> 20)))
}

/// Refuses results longer than [`MAX_RESULT`]; called before they are made.
pub(super) fn check_result(name: &str, bytes: usize) -> Result<(), Raised> {
    if bytes <= MAX_RESULT {
        return Ok(());
    }
    Err(Raised::Exec(format!("{name}: the result would be longer than {} MiB", MAX_RESULT >> 20)))
}

/// Takes the size of a value from what is left.
fn fits(value: &Tv, left: &mut usize) -> bool {
    let size = match value {
        Tv::String(text) => text.len(),
        _ => 24,
    };
    let Some(rest) = left.checked_sub(size) else { return false };
    *left = rest;
    match value {
        Tv::List(items) => items.iter().all(|item| fits(item, left)),
        Tv::Map(entries) => entries.values().all(|entry| fits(entry, left)),
        _ => true,
    }
}

/// As Go's `Sprint` and `Sprintln`: the former puts blanks only between two values that are no texts.
fn joined(args: &[Tv], line: bool) -> String {
    let mut out = String::new();
    let mut was_text = true;
    for (index, arg) in args.iter().enumerate() {
        let is_text = matches!(arg, Tv::String(_));
        if index > 0 && (line || !(was_text || is_text)) {
            out.push(' ');
        }
        // Writing to a text can't fail.
        let _ = write!(out, "{arg}");
        was_text = is_text;
    }
    if line {
        out.push('\n');
    }
    out
}

/// The one argument as text.
fn single(name: &str, args: &[Tv]) -> Result<String, Raised> {
    match args {
        [Tv::Nil] => Ok("<no value>".to_owned()),
        [one] => Ok(one.to_string()),
        _ => Err(Raised::ArgCount { name: name.to_owned(), expected: 1, got: args.len() }),
    }
}

/// The engine's own `printf`, once it is known that its result has an end.
fn printf(args: &[Tv]) -> Result<String, Raised> {
    let verbs = match args.first() {
        Some(Tv::String(format)) => format.matches('%').count(),
        _ => 0,
    };
    let longest = args.iter().map(|arg| arg.to_string().len()).max().unwrap_or(0);
    check_result(
        "printf",
        verbs.saturating_mul(longest.max(MAX_WIDTH)).min(verbs.saturating_mul(MAX_WIDTH + longest)),
    )?;
    let mut text = "{{printf".to_owned();
    for index in 0..args.len() {
        // Writing to a text can't fail.
        let _ = write!(text, " (index . {index})");
    }
    text.push_str("}}");
    Template::new("").parse(&text)?.execute_to_string(&Tv::List(args.iter().cloned().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_functions_do_what_the_engines_own_do() {
        let values = [Tv::from("a<b"), Tv::Int(1), Tv::Int(2), Tv::Nil, Tv::Bool(true), Tv::from("")];
        let data = Tv::List(values.iter().cloned().collect());
        for call in ["print", "println", "printf \"%v|%05d|%x|%v|%t|%q\"", "html", "js", "urlquery"] {
            let (name, format) = call.split_once(' ').unwrap_or((call, ""));
            let count = if matches!(name, "html" | "js" | "urlquery") { 1 } else { values.len() };
            let arguments: String = (0..count).map(|i| format!(" (index . {i})")).collect();
            let text = format!("{{{{ {call}{arguments} }}}}");
            let expected = gotmpl::execute(&text, &data).unwrap();
            let format = (!format.is_empty()).then(|| Tv::from(format.trim_matches('"')));
            let args: Vec<Tv> = format.into_iter().chain(values[..count].iter().cloned()).collect();
            assert_eq!(built_in(name).unwrap()(&args).unwrap().to_string(), expected, "{call}");
        }
        assert!(built_in("html").unwrap()(&values).is_err());
    }
}
