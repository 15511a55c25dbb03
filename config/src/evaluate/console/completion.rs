//! What a half-typed line may go on with.

use kiln_lang::Value;
use kiln_lang::go_template;
use kiln_lang::scope::Scope;

use super::WORDS;

/// Words that may stand in the place of what has been typed from `from` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Byte of the line from which on a word replaces what was typed.
    pub from: usize,
    /// The words, sorted; whole ones, not only what is missing.
    pub words: Vec<String>,
}

impl Completion {
    /// Of all `words`, those that begin like the typed text behind byte `from`.
    fn of(before: &str, from: usize, words: impl IntoIterator<Item = String>) -> Self {
        let typed = &before[from..];
        let mut words: Vec<String> = words.into_iter().filter(|word| word.starts_with(typed)).collect();
        words.sort();
        words.dedup();
        Self { from, words }
    }
}

/// Names of the scope and of what they hold, functions, and, at the begin, the words of the console.
pub(super) fn hcl2(before: &str, scope: &Scope) -> Completion {
    let path = before.len() - trailing(before, |c| c.is_alphanumeric() || "_-.".contains(c)).len();
    match before[path..].rsplit_once('.') {
        Some((holder, _)) => {
            let from = path + holder.len() + 1;
            let mut steps = holder.split('.');
            let root = steps.next().and_then(|name| scope.get(name));
            let value = steps.fold(root, |value, step| value?.as_entries()?.get(step));
            Completion::of(before, from, entries(value))
        }
        None => {
            let dotted = |name: &str| match scope.get(name).and_then(Value::as_entries) {
                Some(_) => format!("{name}."),
                None => name.to_owned(),
            };
            let names = scope.names().map(dotted);
            let functions = scope.functions().names().chain(SPECIAL).map(|name| format!("{name}("));
            let words = WORDS.iter().filter(|_| before[..path].trim().is_empty()).map(|w| (*w).to_owned());
            Completion::of(before, path, names.chain(functions).chain(words))
        }
    }
}

/// The forms of calls that no table of functions holds.
const SPECIAL: [&str; 3] = ["can", "convert", "try"];

/// The names in an object or map that can be written behind a dot.
fn entries(value: Option<&Value>) -> Vec<String> {
    let word = |name: &&String| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let entries = value.and_then(Value::as_entries);
    entries.map(|e| e.keys().filter(word).cloned().collect()).unwrap_or_default()
}

/// Within an action the functions and, between the quotes behind `user`, the variables; outside, at the begin, the
/// words of the console.
pub(super) fn legacy<'a>(before: &str, variables: impl Iterator<Item = &'a str>) -> Completion {
    let from = before.len() - trailing(before, |c| c.is_alphanumeric() || "_-".contains(c)).len();
    let rest = &before[..from];
    let Some((_, action)) = rest.rsplit_once("{{") else {
        let words = WORDS.iter().filter(|_| rest.trim().is_empty());
        return Completion::of(before, from, words.map(|w| (*w).to_owned()));
    };
    let quoted = rest.strip_suffix(['`', '"']).map(str::trim_end);
    match quoted {
        _ if action.contains("}}") => Completion::default(),
        Some(head) if head.ends_with("user") => Completion::of(before, from, variables.map(str::to_owned)),
        Some(_) => Completion::default(),
        None => Completion::of(before, from, go_template::function_names().map(str::to_owned)),
    }
}

/// The longest end of a text that consists of such characters.
fn trailing(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let start = text.char_indices().rev().take_while(|(_, c)| belongs(*c)).last();
    start.map_or("", |(at, _)| &text[at..])
}
