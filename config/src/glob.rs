//! Patterns over names and paths: `-only`/`-except` (where `*` crosses everything) and `fileset` (where it
//! stops at `/` and `**` doesn't).
//!
//! Matching keeps the set of text positions reached so far, token by token, so that no pattern can make it
//! slower than pattern length times text length.

/// Which characters a single `*` stops at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// None: for build names, whose dots are ordinary characters.
    Name,
    /// `/`; `**` crosses it.
    Path,
}

/// Why a pattern can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GlobError {
    /// `[` without `]`.
    #[error("a character class is not closed with ]")]
    OpenClass,
    /// `{` without `}`.
    #[error("an alternative is not closed with }}")]
    OpenBrace,
    /// A backslash at the end.
    #[error("it ends with a backslash")]
    TrailingBackslash,
    /// So many alternatives that trying them all would take too long.
    #[error("it has more than {MAX_ALTERNATIVES} combinations of alternatives")]
    TooManyAlternatives,
}

const MAX_ALTERNATIVES: usize = 1000;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    alternatives: Vec<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyOne(Style),
    AnyRun(Style),
    /// `**/`: no directory, one, or several.
    Directories,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Compiles a pattern: `*`, `**`, `?`, `[abc]`, `[!a-z]`, `{x,y}`, and `\` before a character that is
    /// meant literally.
    ///
    /// # Errors
    /// [`GlobError`] when a bracket is open or there are too many alternatives.
    pub(crate) fn new(pattern: &str, style: Style) -> Result<Self, GlobError> {
        let expanded = expand_braces(pattern)?;
        let alternatives = expanded.iter().map(|p| tokens(p, style)).collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.alternatives.iter().any(|tokens| matches(tokens, &text))
    }
}

/// All patterns that `{…,…}` stands for.
fn expand_braces(pattern: &str) -> Result<Vec<Vec<char>>, GlobError> {
    let mut done = Vec::new();
    let mut open = vec![pattern.chars().collect::<Vec<_>>()];
    while let Some(pattern) = open.pop() {
        match first_brace(&pattern)? {
            None => done.push(pattern),
            Some((start, end, parts)) => {
                for part in parts.into_iter().rev() {
                    open.push([&pattern[..start], &part, &pattern[end..]].concat());
                }
            }
        }
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return Err(GlobError::TooManyAlternatives);
        }
    }
    Ok(done)
}

type Brace = (usize, usize, Vec<Vec<char>>);

fn first_brace(pattern: &[char]) -> Result<Option<Brace>, GlobError> {
    let mut start = None;
    let (mut depth, mut at, mut part_start) = (0, 0, 0);
    let mut parts = Vec::new();
    while at < pattern.len() {
        match pattern[at] {
            '\\' => at += 1,
            '[' => at = class_end(pattern, at)?,
            '{' => {
                depth += 1;
                if depth == 1 {
                    start = Some(at);
                    part_start = at + 1;
                }
            }
            ',' if depth == 1 => {
                parts.push(pattern[part_start..at].to_vec());
                part_start = at + 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if let (0, Some(start)) = (depth, start) {
                    parts.push(pattern[part_start..at].to_vec());
                    return Ok(Some((start, at + 1, parts)));
                }
            }
            _ => {}
        }
        at += 1;
    }
    if depth > 0 { Err(GlobError::OpenBrace) } else { Ok(None) }
}

/// Where the class that opens at `at` closes.
fn class_end(pattern: &[char], at: usize) -> Result<usize, GlobError> {
    let negation = usize::from(matches!(pattern.get(at + 1), Some('!' | '^')));
    // A `]` right after the opening is a member.
    let first = at + 1 + negation;
    let close = pattern.iter().skip(first + 1).position(|c| *c == ']').ok_or(GlobError::OpenClass)?;
    Ok(first + 1 + close)
}

fn tokens(pattern: &[char], style: Style) -> Result<Vec<Token>, GlobError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => {
                at += 1;
                tokens.push(Token::Literal(*pattern.get(at).ok_or(GlobError::TrailingBackslash)?));
            }
            '?' => tokens.push(Token::AnyOne(style)),
            '[' => {
                let end = class_end(pattern, at)?;
                tokens.push(class(&pattern[at + 1..end]));
                at = end;
            }
            '*' => {
                let stars = pattern[at..].iter().take_while(|c| **c == '*').count();
                let at_segment_start = at == 0 || pattern[at - 1] == '/';
                at += stars - 1;
                tokens.push(match (style, stars) {
                    (Style::Path, 2..) if at_segment_start && pattern.get(at + 1) == Some(&'/') => {
                        at += 1;
                        Token::Directories
                    }
                    (Style::Path, 2..) if at_segment_start => Token::AnyRun(Style::Name),
                    _ => Token::AnyRun(style),
                });
            }
            c => tokens.push(Token::Literal(c)),
        }
        at += 1;
    }
    Ok(tokens)
}

fn class(inside: &[char]) -> Token {
    let negated = matches!(inside.first(), Some('!' | '^'));
    let members = &inside[usize::from(negated)..];
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(&high)) => {
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Token::Class { negated, ranges }
}

fn matches(tokens: &[Token], text: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        reached = advance(token, text, &reached);
    }
    reached[text.len()]
}

fn advance(token: &Token, text: &[char], reached: &[bool]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    let mut running = false;
    for at in 0..reached.len() {
        match token {
            Token::AnyRun(style) => {
                running |= reached[at];
                next[at] = running;
                running &= text.get(at).is_some_and(|c| crosses(*style, *c));
            }
            Token::Directories => {
                running |= reached[at];
                next[at] = reached[at] || (running && at > 0 && text[at - 1] == '/');
            }
            one => {
                if reached[at] && text.get(at).is_some_and(|c| takes(one, *c)) {
                    next[at + 1] = true;
                }
            }
        }
    }
    next
}

fn crosses(style: Style, c: char) -> bool {
    style == Style::Name || c != '/'
}

fn takes(token: &Token, c: char) -> bool {
    match token {
        Token::Literal(l) => *l == c,
        Token::AnyOne(style) => crosses(*style, c),
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
        Token::AnyRun(_) | Token::Directories => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(style: Style, cases: &[(&str, &str, bool)]) {
        for (pattern, text, expected) in cases {
            let glob = Glob::new(pattern, style).unwrap();
            assert_eq!(glob.matches(text), *expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn in_names_a_star_crosses_dots() {
        check(
            Style::Name,
            &[
                ("*", "a.qemu.b", true),
                ("a.*", "a.qemu.b", true),
                ("qemu.b", "a.qemu.b", false),
                ("*lasagna", "recipes.file.lasagna", true),
                ("f?le.x", "file.x", true),
                ("[!q]*", "qemu.a", false),
                ("[a-c]", "b", true),
                ("{qemu,null}.x", "null.x", true),
                ("a\\*", "a*", true),
                ("a\\*", "ab", false),
                ("", "", true),
            ],
        );
    }

    #[test]
    fn in_paths_a_star_stops_at_slashes() {
        check(
            Style::Path,
            &[
                ("*.txt", "a.txt", true),
                ("*.txt", "d/a.txt", false),
                ("**/*.txt", "a.txt", true),
                ("**/*.txt", "d/e/a.txt", true),
                ("d/**", "d/e/f", true),
                ("d/**/f", "d/f", true),
                ("d/**/f", "dxf", false),
                ("{a,b/{c,d}}", "b/d", true),
            ],
        );
    }

    #[test]
    fn broken_patterns_are_refused() {
        let error = |p| Glob::new(p, Style::Name).unwrap_err();
        assert_eq!(error("[a"), GlobError::OpenClass);
        assert_eq!(error("{a,b"), GlobError::OpenBrace);
        assert_eq!(error("a\\"), GlobError::TrailingBackslash);
        assert_eq!(error(&"{a,b}".repeat(12)), GlobError::TooManyAlternatives);
    }
}
