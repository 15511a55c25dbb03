//! One rendering of one text.

use std::fmt;
use std::sync::Arc;

use gotmpl::parse::Parser;
use gotmpl::{MissingKey, Template, TemplateError as Raised};

use super::function::{BUILT_IN, PACKER, Traces, named};
use super::tree::Mentions;
use super::{Dot, Reason, Renderer, TemplateError, action, data, tree};
use crate::diagnostic::nearest;
use crate::value::Value;

/// The largest text that a template may produce, in bytes.
const MAX_OUTPUT: usize = 64 << 20;
/// How often the ranges of one rendering may go round, all together.
const MAX_ROUNDS: u64 = 1_000_000;
/// How many parts of a template may be run through in one rendering, rounds of ranges and definitions included.
const MAX_PARTS: u64 = 20_000_000;
/// How much of a text an error shows, in characters.
const MAX_SHOWN: usize = 160;

/// A rendered text.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Whether a secret went into it.
    pub sensitive: bool,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive { f.write_str("(sensitive)") } else { self.text.fmt(f) }
    }
}

pub(super) fn text(renderer: &Renderer, text: &str) -> Result<Rendered, TemplateError> {
    if !text.contains("{{") {
        return Ok(Rendered { text: text.to_owned(), sensitive: false });
    }
    let Some(actions) = action::find(text) else { return run(renderer, text) };
    action::check_blocks(&actions)
        .map_err(|(offset, reason)| error(text, reason, Some(position(text, offset))))?;
    if !matches!(renderer.dot, Dot::Later) {
        return run(renderer, text);
    }
    match action::keep_dot(text, &actions) {
        Some(rewritten) => run(renderer, &rewritten),
        None => Ok(Rendered { text: text.to_owned(), sensitive: false }),
    }
}

fn run(renderer: &Renderer, text: &str) -> Result<Rendered, TemplateError> {
    let fail = |raised: Raised| from_raised(text, raised);
    let (body, defines) = Parser::new(text, "{{", "}}").and_then(Parser::parse).map_err(fail)?;
    let mentions = Mentions::of(&body, &defines);
    let too_much = |what: &str| Err(error(text, Reason::Failed(what.to_owned()), None));
    let parts = match tree::parts(&body, &defines) {
        Ok(parts) if parts <= MAX_PARTS => parts,
        Ok(_) => return too_much("its definitions stand for more than a template may do"),
        Err(name) => return too_much(&format!("the template {name:?} invokes itself, which may never end")),
    };
    let traces = Arc::new(Traces::default());
    let mut functions = gotmpl::FuncMap::new();
    for name in &mentions.functions {
        match named(renderer, name, &traces) {
            Some(function) => {
                functions.insert(name.clone(), function);
            }
            None if BUILT_IN.contains(&name.as_str()) => {}
            None => return Err(error(text, undefined(renderer, name), None)),
        }
    }
    let strict = matches!(renderer.dot, Dot::Fields(_));
    let dot = match &renderer.dot {
        Dot::Map(value) | Dot::Fields(value) => data::to_template(value),
        Dot::Nothing | Dot::Later => data::empty(),
    };
    let template = Template::new("")
        .missing_key(if strict { MissingKey::Error } else { MissingKey::default() })
        .max_range_iters(MAX_ROUNDS.min(MAX_PARTS / parts.max(1)).max(1))
        .funcs(functions)
        .parse(text)
        .map_err(fail)?;
    let mut out = Bounded(String::new());
    template.execute_fmt(&mut out, &dot).map_err(|raised| match (traces.take_failure(), raised) {
        (Some(Reason::Failed(_)) | None, _) if traces.is_sensitive() => {
            let withheld = "the template failed; the reason is withheld because a value in it is sensitive";
            error(text, Reason::Failed(withheld.to_owned()), None)
        }
        (Some(reason), _) => error(text, reason, None),
        (None, Raised::MissingKey { key }) => error(text, no_such_field(renderer, key), None),
        (None, raised) => fail(raised),
    })?;
    let sensitive = traces.is_sensitive() || reads_secret(renderer, &mentions);
    Ok(Rendered { text: out.0, sensitive })
}

/// Whether the template reads something marked from its data.
fn reads_secret(renderer: &Renderer, mentions: &Mentions) -> bool {
    let (Dot::Map(data) | Dot::Fields(data)) = &renderer.dot else { return false };
    if !data.contains_sensitive() {
        return false;
    }
    let entries = data.as_entries();
    let field = |name: &String| entries.and_then(|e| e.get(name)).is_some_and(Value::contains_sensitive);
    data.sensitive && !mentions.fields.is_empty()
        || mentions.whole_dot
        || mentions.functions.contains("build")
        || mentions.fields.iter().any(field)
}

fn undefined(renderer: &Renderer, name: &str) -> Reason {
    let known = PACKER.iter().chain(&BUILT_IN).copied().chain(renderer.functions.keys().copied());
    Reason::UndefinedFunction { name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
}

fn no_such_field(renderer: &Renderer, name: String) -> Reason {
    let names: Vec<String> = match &renderer.dot {
        Dot::Map(data) | Dot::Fields(data) => {
            data.as_entries().into_iter().flatten().map(|(name, _)| format!("{{{{ .{name} }}}}")).collect()
        }
        Dot::Nothing | Dot::Later => Vec::new(),
    };
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Reason::NoSuchField { name, known }
}

pub(super) fn from_raised(text: &str, raised: Raised) -> TemplateError {
    match raised {
        Raised::Parse { line, col, message, .. } | Raised::Lex { line, col, message, .. } => {
            error(text, Reason::Syntax(message), (line > 0).then_some((line, col)))
        }
        Raised::Exec(message) => error(text, Reason::Failed(message), None),
        Raised::Write => {
            let reason = format!("the result is larger than {} MiB", MAX_OUTPUT >> 20);
            error(text, Reason::Failed(reason), None)
        }
        other => error(text, Reason::Failed(other.to_string()), None),
    }
}

pub(super) fn error(text: &str, reason: Reason, position: Option<(usize, usize)>) -> TemplateError {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    TemplateError { reason, position, text: Some(shown) }
}

pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Text that refuses to grow past [`MAX_OUTPUT`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_OUTPUT {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
