//! Functions on text. Characters are grapheme clusters where cty counts them so; letters change case one by one,
//! as Go does it (`ß` stays).

use unicode_segmentation::UnicodeSegmentation;

use super::argument::{
    Outcome, bounded, check_count, check_size, integer, items, needs_all, number, string, string_list,
    strings, text,
};
use super::{Function, FunctionError};
use crate::types::Type;
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    let mut all = cases();
    all.extend(trims());
    all.extend(tests_of_text());
    all.extend([
        Function::new("indent", [number("spaces"), string("str")], Type::String, indent),
        needs_all(
            Function::new("join", [string("separator")], Type::String, join).variadic(strings("lists")),
        ),
        Function::new("replace", [string("str"), string("substr"), string("replace")], Type::String, replace),
        Function::new("split", [string("separator"), string("str")], Type::list(Type::String), |args| {
            let (separator, source) = (text(args, 0)?, text(args, 1)?);
            check_count(if separator.is_empty() { source.len() } else { source.matches(separator).count() })?;
            Ok(string_list(split_like_go(source, separator)))
        }),
        Function::new("strrev", [string("str")], Type::String, |args| {
            bounded(text(args, 0)?.graphemes(true).rev().collect())
        }),
        Function::new("substr", [string("str"), number("offset"), number("length")], Type::String, substr),
    ]);
    all
}

fn on_text(name: &'static str, f: impl Fn(&str) -> String + Send + Sync + 'static) -> Function {
    Function::new(name, [string("str")], Type::String, move |args| bounded(f(text(args, 0)?)))
}

fn cases() -> Vec<Function> {
    vec![on_text("lower", lower), on_text("upper", upper), on_text("title", title)]
}

fn trims() -> Vec<Function> {
    let with = |name, other, f: fn(&str, &str) -> String| {
        Function::new(name, [string("str"), string(other)], Type::String, move |args| {
            bounded(f(text(args, 0)?, text(args, 1)?))
        })
    };
    vec![
        on_text("chomp", |s| s.trim_end_matches(['\r', '\n']).to_owned()),
        on_text("trimspace", |s| s.trim().to_owned()),
        with("trim", "cutset", |s, cutset| {
            let cutset: std::collections::HashSet<char> = cutset.chars().collect();
            s.trim_matches(|c| cutset.contains(&c)).to_owned()
        }),
        with("trimprefix", "prefix", |s, prefix| s.strip_prefix(prefix).unwrap_or(s).to_owned()),
        with("trimsuffix", "suffix", |s, suffix| s.strip_suffix(suffix).unwrap_or(s).to_owned()),
    ]
}

fn tests_of_text() -> Vec<Function> {
    let test = |name, other, f: fn(&str, &str) -> bool| {
        Function::new(name, [string("str"), string(other)], Type::Bool, move |args| {
            Ok(Value::bool(f(text(args, 0)?, text(args, 1)?)))
        })
    };
    vec![
        test("startswith", "prefix", |s, prefix| s.starts_with(prefix)),
        test("endswith", "suffix", |s, suffix| s.ends_with(suffix)),
        test("strcontains", "substr", |s, part| s.contains(part)),
    ]
}

/// The single letter that `full` maps `c` to; `c` when that takes more than one, as Go's simple mappings do.
fn simple<I: ExactSizeIterator<Item = char>>(c: char, full: impl Fn(char) -> I) -> char {
    let mut letters = full(c);
    match letters.len() {
        1 => letters.next().unwrap_or(c),
        // The one lower case letter of several code points whose simple mapping is its first.
        _ if c == 'İ' => letters.next().unwrap_or(c),
        _ => c,
    }
}

/// All letters in upper case.
pub(crate) fn upper(text: &str) -> String {
    text.chars().map(|c| simple(c, char::to_uppercase)).collect()
}

/// All letters in lower case.
pub(crate) fn lower(text: &str) -> String {
    text.chars().map(|c| simple(c, char::to_lowercase)).collect()
}

/// The first letter of each word in upper case, as Go's `strings.Title` finds words.
fn title(text: &str) -> String {
    let mut previous = ' ';
    let mut letter = |c: char| {
        let starts = separates(previous);
        previous = c;
        if starts { simple(c, char::to_uppercase) } else { c }
    };
    text.chars().map(&mut letter).collect()
}

fn separates(c: char) -> bool {
    if c.is_ascii() {
        !c.is_ascii_alphanumeric() && c != '_'
    } else {
        !c.is_alphanumeric() && c.is_whitespace()
    }
}

/// The parts between separators; single characters when there is no separator.
pub(crate) fn split_like_go<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    if !separator.is_empty() {
        return text.split(separator).collect();
    }
    text.char_indices().map(|(i, c)| &text[i..i + c.len_utf8()]).collect()
}

fn indent(args: &[Value]) -> Outcome {
    let (spaces, text) = (integer(args, 0)?, text(args, 1)?);
    let spaces = usize::try_from(spaces)
        .map_err(|_| FunctionError::argument(0, "the number of spaces must not be negative"))?;
    check_size(text.len().saturating_add(text.matches('\n').count().saturating_mul(spaces)))?;
    bounded(text.replace('\n', &format!("\n{}", " ".repeat(if text.contains('\n') { spaces } else { 0 }))))
}

fn join(args: &[Value]) -> Outcome {
    let separator = text(args, 0)?;
    if args.len() < 2 {
        return Err(FunctionError::new("at least one list is required"));
    }
    let mut parts = Vec::new();
    for index in 1..args.len() {
        for (i, item) in items(args, index)?.iter().enumerate() {
            let part = item.as_str().ok_or_else(|| {
                let list = if args.len() > 2 { format!(" of list {index}") } else { String::new() };
                FunctionError::argument(
                    index,
                    format!("element {i}{list} is null; cannot concatenate null values"),
                )
            })?;
            parts.push(part);
        }
    }
    let separators = separator.len().saturating_mul(parts.len());
    check_size(parts.iter().map(|p| p.len()).sum::<usize>().saturating_add(separators))?;
    bounded(parts.join(separator))
}

fn replace(args: &[Value]) -> Outcome {
    let (source, old, new) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let growth = new.len().saturating_sub(old.len());
    if growth > 0 {
        check_size(source.len().saturating_add(source.matches(old).count().saturating_mul(growth)))?;
    }
    bounded(source.replace(old, new))
}

/// `substr(s, offset, length)`: a negative offset counts from the end, a negative length takes the rest; so does,
/// in cty, a length of 0 together with a negative offset.
fn substr(args: &[Value]) -> Outcome {
    let (source, mut offset, length) = (text(args, 0)?, integer(args, 1)?, integer(args, 2)?);
    let from_end = offset < 0;
    if from_end {
        let total = i64::try_from(source.graphemes(true).count()).unwrap_or(i64::MAX);
        offset = offset.saturating_add(total).max(0);
    }
    let skipped = source.graphemes(true).skip(usize::try_from(offset).unwrap_or(usize::MAX));
    bounded(match usize::try_from(length) {
        Ok(length) if length > 0 || !from_end => skipped.take(length).collect(),
        _ => skipped.collect(),
    })
}
