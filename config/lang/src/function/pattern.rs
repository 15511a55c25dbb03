//! Functions on regular expressions, in RE2's syntax as Go has it and in linear time.

use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};

use super::argument::{Outcome, bounded, check_count, check_size, string, text};
use super::{Function, FunctionError};
use crate::types::{ObjectAttribute, Type};
use crate::value::{Data, Value};

mod dialect;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("regex", [string("pattern"), string("string")], Type::Any, |args| {
            let pattern = Pattern::compile(text(args, 0)?, 0, text(args, 1)?)?;
            let found = pattern.regex.captures(text(args, 1)?);
            found
                .map(|found| pattern.result(&found))
                .ok_or_else(|| FunctionError::new("pattern did not match any part of the given string"))
        })
        .costing(|args| compilation(args, 0)),
        Function::new("regexall", [string("pattern"), string("string")], Type::list(Type::Any), |args| {
            let source = text(args, 1)?;
            let pattern = Pattern::compile(text(args, 0)?, 0, source)?;
            let mut results = Vec::new();
            for found in pattern.regex.captures_iter(source) {
                check_matches(results.len() + 1, source)?;
                check_count((results.len() + 1).saturating_mul(found.len()))?;
                results.push(pattern.result(&found));
            }
            Ok(Value::list(pattern.result_type(), results))
        })
        .costing(|args| compilation(args, 0)),
        Function::new(
            "regex_replace",
            [string("str"), string("pattern"), string("replace")],
            Type::String,
            replace,
        )
        .costing(|args| compilation(args, 1)),
    ]
}

/// `$1`, `${1}`, `$name` and `$$` in the replacement mean what they mean in Go.
fn replace(args: &[Value]) -> Outcome {
    let (source, replacement) = (text(args, 0)?, text(args, 2)?);
    let regex = compile(text(args, 1)?, 1, source)?;
    let mut out = String::new();
    let mut from = 0;
    let groups = replacement.matches('$').count();
    for (count, found) in regex.captures_iter(source).enumerate() {
        check_matches(count + 1, source)?;
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&source[from..whole.start()]);
        // No group is longer than the whole match.
        check_size(
            out.len().saturating_add(replacement.len()).saturating_add(groups.saturating_mul(whole.len())),
        )?;
        found.expand(replacement, &mut out);
        check_size(out.len())?;
        from = whole.end();
    }
    out.push_str(&source[from..]);
    bounded(out)
}

/// What a search may cost: bytes of the compiled pattern times bytes of text, some ten seconds in the worst case.
const MAX_SEARCH: usize = 1 << 36;

/// The sizes that a compiled pattern may have, in bytes: the larger, the shorter must the text be.
const PATTERN_SIZES: [usize; 4] = [1 << 14, 1 << 17, 1 << 20, LARGEST_PATTERN];
const LARGEST_PATTERN: usize = 10 << 20;

/// What compiling a pattern costs, in steps: a tenth of the parts that it has once its repetitions are written out.
fn compilation(args: &[Value], index: usize) -> u64 {
    let pattern: Vec<char> = args.get(index).and_then(Value::as_str).unwrap_or_default().chars().collect();
    // The sums of the groups that are open, and the size of the last part of each.
    let mut open: Vec<(u64, u64)> = vec![(0, 0)];
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        at += 1;
        if *c == '(' {
            open.push((0, 0));
            continue;
        }
        // The innermost group that closes; outside of all of them a bracket is an error of the pattern.
        let closed = if *c == ')' && open.len() > 1 { open.pop() } else { None };
        let Some((sum, last)) = open.last_mut() else { break };
        match (c, closed) {
            (_, Some((inner, _))) => (*sum, *last) = (sum.saturating_add(inner), inner),
            ('{', None) => {
                let inside: String = pattern[at..].iter().take_while(|c| **c != '}').take(16).collect();
                let most = inside.split(',').filter_map(|n| n.parse::<u64>().ok()).max().unwrap_or(1);
                let more = last.saturating_mul(most.saturating_sub(1));
                (*sum, *last) = (sum.saturating_add(more), last.saturating_add(more));
            }
            _ => (*sum, *last) = (sum.saturating_add(1), 1),
        }
    }
    50 + open.iter().fold(0, |all: u64, (sum, _)| all.saturating_add(*sum)) / 10
}

/// What all matches of a search may cost, in bytes looked at: some seconds in the worst case.
const MAX_MATCHING: usize = 1 << 32;

/// Each match may cost a look at all the text that is left: `.*z|a` does in a text of many `a`.
fn check_matches(count: usize, source: &str) -> Result<(), FunctionError> {
    if count.saturating_mul(source.len()) <= MAX_MATCHING {
        return Ok(());
    }
    Err(FunctionError::new(format!("{count} matches in a text of {} bytes are too many", source.len())))
}

/// Compiles a pattern for a search in `source`.
fn compile(pattern: &str, argument: usize, source: &str) -> Result<Regex, FunctionError> {
    let translated = dialect::from_go(pattern);
    let sized = |limit: &usize| match RegexBuilder::new(&translated).size_limit(*limit).build() {
        Err(regex::Error::CompiledTooBig(_)) if *limit < LARGEST_PATTERN => None,
        compiled => Some((*limit, compiled)),
    };
    let (size, compiled) = PATTERN_SIZES
        .iter()
        .find_map(sized)
        .unwrap_or((LARGEST_PATTERN, Err(regex::Error::CompiledTooBig(LARGEST_PATTERN))));
    if size.saturating_mul(source.len()) > MAX_SEARCH {
        let message = format!("the pattern is too large for a text of {} bytes", source.len());
        return Err(FunctionError::argument(argument, message));
    }
    compiled.map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // The last line names the mistake; those before it draw it.
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        FunctionError::argument(argument, format!("invalid regexp pattern: {reason} in {pattern:?}"))
    })
}

struct Pattern {
    regex: Regex,
    groups: Groups,
}

/// What a match yields.
enum Groups {
    /// No groups: the text.
    None,
    /// Unnamed groups: a tuple.
    Unnamed,
    /// Named groups: an object.
    Named(Vec<String>),
}

impl Pattern {
    fn compile(pattern: &str, argument: usize, source: &str) -> Result<Self, FunctionError> {
        let regex = compile(pattern, argument, source)?;
        let names: Vec<Option<&str>> = regex.capture_names().skip(1).collect();
        let named: Vec<String> = names.iter().flatten().map(|name| (*name).to_owned()).collect();
        let groups = match (names.len(), named.len()) {
            (0, _) => Groups::None,
            (_, 0) => Groups::Unnamed,
            (all, named_count) if all == named_count => Groups::Named(named),
            _ => {
                let message = "invalid regexp pattern: cannot mix both named and unnamed capture groups";
                return Err(FunctionError::argument(argument, message));
            }
        };
        Ok(Self { regex, groups })
    }

    fn result(&self, found: &Captures<'_>) -> Value {
        let group = |group: Option<regex::Match<'_>>| {
            group.map_or_else(|| Value::new(Data::Null(Type::String)), |m| Value::string(m.as_str()))
        };
        match &self.groups {
            Groups::None => group(found.get(0)),
            Groups::Unnamed => Value::tuple((1..found.len()).map(|i| group(found.get(i))).collect()),
            Groups::Named(names) => {
                Value::object(names.iter().map(|name| (name.clone(), group(found.name(name)))))
            }
        }
    }

    fn result_type(&self) -> Type {
        match &self.groups {
            Groups::None => Type::String,
            Groups::Unnamed => Type::Tuple(vec![Type::String; self.regex.captures_len() - 1]),
            Groups::Named(names) => {
                let attribute = |name: &String| (name.clone(), ObjectAttribute::required(Type::String));
                Type::Object(names.iter().map(attribute).collect::<BTreeMap<_, _>>())
            }
        }
    }
}
