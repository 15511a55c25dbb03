//! Functions on regular expressions, in RE2's syntax as Go has it and in linear time.

use std::collections::BTreeMap;

use regex::{Captures, Regex};

use super::argument::{Outcome, bounded, check_size, string, text};
use super::{Function, FunctionError};
use crate::types::{ObjectAttribute, Type};
use crate::value::{Data, Value};

mod dialect;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("regex", [string("pattern"), string("string")], Type::Any, |args| {
            let pattern = Pattern::compile(text(args, 0)?, 0)?;
            let found = pattern.regex.captures(text(args, 1)?);
            found
                .map(|found| pattern.result(&found))
                .ok_or_else(|| FunctionError::new("pattern did not match any part of the given string"))
        }),
        Function::new("regexall", [string("pattern"), string("string")], Type::list(Type::Any), |args| {
            let pattern = Pattern::compile(text(args, 0)?, 0)?;
            let found = pattern.regex.captures_iter(text(args, 1)?).map(|found| pattern.result(&found));
            let found = found.collect();
            Ok(Value::list(pattern.result_type(), found))
        }),
        Function::new(
            "regex_replace",
            [string("str"), string("pattern"), string("replace")],
            Type::String,
            replace,
        ),
    ]
}

/// `$1`, `${1}`, `$name` and `$$` in the replacement mean what they mean in Go.
fn replace(args: &[Value]) -> Outcome {
    let (source, replacement) = (text(args, 0)?, text(args, 2)?);
    let regex = compile(text(args, 1)?, 1)?;
    let mut out = String::new();
    let mut from = 0;
    for found in regex.captures_iter(source) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&source[from..whole.start()]);
        found.expand(replacement, &mut out);
        check_size(out.len())?;
        from = whole.end();
    }
    out.push_str(&source[from..]);
    bounded(out)
}

fn compile(pattern: &str, argument: usize) -> Result<Regex, FunctionError> {
    Regex::new(&dialect::from_go(pattern)).map_err(|error| {
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
    fn compile(pattern: &str, argument: usize) -> Result<Self, FunctionError> {
        let regex = compile(pattern, argument)?;
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
