//! Sound texts that the parser crate refuses. They are altered before parsing, never in length.
//!
//! * Object keys that occur twice: in the language the last one wins. The later key is given another name, and
//!   its own name back afterwards.
//! * Line ends within `%{…}` and within for-expressions, which separate nothing there: they become spaces.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hcl_edit::parser::Error;

use super::outline;

/// The true keys by the offset of the renamed ones.
pub(super) type Renamed = BTreeMap<usize, String>;

/// Each key costs a pass over the text, so their number is bounded.
const MOST_ATTEMPTS: usize = 100;

/// The same for a text about which something has been said already: it is read no further than where the parser crate
/// would lose itself in texts that never end.
pub(super) fn parse_unsound<T>(
    text: &str,
    parser: impl Fn(&str) -> Result<T, Error>,
) -> (Result<T, Error>, Renamed) {
    let end = outline::tangle(text).unwrap_or(text.len());
    parse(&text[..end], parser)
}

/// Parses `text`, renaming repeated keys as needed.
pub(super) fn parse<T>(text: &str, parse: impl Fn(&str) -> Result<T, Error>) -> (Result<T, Error>, Renamed) {
    let mut renamed = Renamed::new();
    let mut text = Cow::Borrowed(text);
    let mut blanked = false;
    for attempt in 0..MOST_ATTEMPTS {
        let error = match parse(&text) {
            Err(error) if error.message().contains("redefined object key") => error,
            Err(error) if !blanked => {
                blanked = true;
                let blanks = outline::blanks(&text);
                if blanks.is_empty() {
                    return (Err(error), renamed);
                }
                for range in blanks {
                    let spaces = " ".repeat(range.len());
                    text.to_mut().replace_range(range, &spaces);
                }
                continue;
            }
            other => return (other, renamed),
        };
        let offset = error.location().offset();
        let Some(word) = key_at(&text, offset) else { return (Err(error), renamed) };
        let original = text[word.clone()].to_owned();
        let substitute = substitute(word.len(), attempt);
        text.to_mut().replace_range(word, &substitute);
        renamed.entry(offset).or_insert(original);
    }
    (parse(&text), renamed)
}

/// The range of the word or of the quoted text at `offset`; `None` when it has escapes or parts.
fn key_at(text: &str, offset: usize) -> Option<std::ops::Range<usize>> {
    let rest = text.get(offset..)?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let length = quoted.find(['"', '\\', '$', '%'])?;
        return (length > 0 && quoted[length..].starts_with('"')).then_some(offset + 1..offset + 1 + length);
    }
    let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    (length > 0).then_some(offset..offset + length)
}

/// A word of `length` bytes, another one at each attempt.
fn substitute(length: usize, attempt: usize) -> String {
    let letter = |place: u32| {
        let digit = attempt / 26_usize.saturating_pow(place) % 26;
        char::from(b"zyxwvutsrqponmlkjihgfedcba"[digit])
    };
    (0..length).map(|i| if i < 4 { letter(u32::try_from(i).unwrap_or(0)) } else { '_' }).collect()
}
