//! Finds the actions `{{ … }}` of a text, and with them blocks that are never closed: the crate that runs
//! templates takes `{{ if true }}x` without complaint, and drops what follows a stray `{{ end }}`.

use super::Reason;

/// One action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action<'a> {
    /// Offset of its `{{`.
    pub(super) start: usize,
    /// Offset after its `}}`.
    pub(super) end: usize,
    /// What stands inside, without trim markers and surrounding blanks.
    pub(super) inner: &'a str,
}

impl Action<'_> {
    /// The first word inside, if it is one.
    pub(super) fn keyword(&self) -> &str {
        let end = self.inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &self.inner[..end.unwrap_or(self.inner.len())]
    }
}

/// All actions of `text`, in order; `None` when one never ends, which parsing reports better.
pub(super) fn find(text: &str) -> Option<Vec<Action<'_>>> {
    let mut actions = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("{{").map(|i| from + i) {
        let end = start + length_of(&text[start..])?;
        let inside = &text[start + 2..end - 2];
        let inside = inside.strip_prefix("- ").unwrap_or(inside);
        let inside = inside.strip_suffix(" -").unwrap_or(inside);
        actions.push(Action { start, end, inner: inside.trim() });
        from = end;
    }
    Some(actions)
}

/// The length of the action that `text` begins with: up to the `}}` outside of comments and quotes.
fn length_of(text: &str) -> Option<usize> {
    let opened = text[2..].trim_start_matches("- ").trim_start();
    if opened.starts_with("/*") {
        let comment_end = text.find("*/")? + 2;
        return text[comment_end..].find("}}").map(|i| comment_end + i + 2);
    }
    let bytes = text.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at + 2),
            quote @ (b'"' | b'\'' | b'`') => at = after_quote(bytes, at, quote)?,
            _ => at += 1,
        }
    }
    None
}

/// The offset after the literal that begins with a quote at `start`.
pub(super) fn after_quote(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote != b'`' => at += 2,
            b if b == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Checks that every block is closed and nothing closes twice; gives the offset at fault.
pub(super) fn check_blocks(actions: &[Action<'_>]) -> Result<(), (usize, Reason)> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    for action in actions {
        match action.keyword() {
            word @ ("if" | "range" | "with" | "define" | "block") => open.push((word, action.start)),
            "end" => {
                open.pop().ok_or((action.start, Reason::Stray("end".to_owned())))?;
            }
            "else" if open.is_empty() => return Err((action.start, Reason::Stray("else".to_owned()))),
            _ => {}
        }
    }
    match open.first() {
        None => Ok(()),
        Some((word, start)) => Err((*start, Reason::Unclosed((*word).to_owned()))),
    }
}

/// Rewrites the actions that are about the dot so that they come out as they are. `None` when a block depends on
/// the dot: then the whole text has to wait.
pub(super) fn keep_dot(text: &str, actions: &[Action<'_>]) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut from = 0;
    for action in actions {
        if !mentions_dot(action.inner) {
            continue;
        }
        if matches!(action.keyword(), "if" | "range" | "with" | "define" | "block" | "template" | "else") {
            return None;
        }
        out.push_str(&text[from..action.start]);
        out.push_str("{{");
        out.push_str(&go_quoted(&text[action.start..action.end]));
        out.push_str("}}");
        from = action.end;
    }
    out.push_str(&text[from..]);
    Some(out)
}

/// Whether a dot stands in `inner` outside of quotes and numbers: `.X`, `.`, `$.X`.
fn mentions_dot(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => match after_quote(bytes, at, quote) {
                Some(after) => at = after,
                None => return false,
            },
            b'.' if !bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
                && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric()) =>
            {
                return true;
            }
            _ => at += 1,
        }
    }
    false
}

/// A Go string literal for `text`.
fn go_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
