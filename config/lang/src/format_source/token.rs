//! Text cut into tokens, each with the spaces before it. Nothing is lost: tokens and spaces make up the text.
//!
//! The scanner knows where quotes, heredocs and their sequences begin and end, and nothing of grammar; it never
//! fails, because only text that was parsed before is formatted.
//!
//! ```text
//!            "  or  <<MARKER               ${  %{
//!   code ───────────────────────► text ───────────► code
//!    │ ▲ ◄───────────────────────      ◄───────────
//!    └─┘ {                    "  or MARKER        }
//! ```

/// What a token is, as far as layout is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line end that is a token of its own.
    Newline,
    /// With its line end, if it is a line comment.
    Comment,
    Name,
    Number,
    Dot,
    Comma,
    Ellipsis,
    DoubleColon,
    /// A single `=`.
    Equal,
    Colon,
    Question,
    Minus,
    Bang,
    /// Any other operator between two operands.
    Operator,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    /// `${` or `%{`, with its strip marker.
    OpenSequence,
    /// The brace that ends a sequence, with its strip marker.
    CloseSequence,
    OpenQuote,
    CloseQuote,
    /// `<<MARKER` with its line end.
    OpenHeredoc,
    /// The marker with the white space of its line.
    CloseHeredoc,
    /// What stands between quotes or in a heredoc.
    Text,
    /// `=>`, and what has no meaning.
    Other,
}

impl Kind {
    /// How many brackets it opens; -1 if it closes one.
    pub(super) fn depth(self) -> isize {
        match self {
            Self::OpenBrace | Self::OpenBracket | Self::OpenParenthesis | Self::OpenSequence => 1,
            Self::CloseBrace | Self::CloseBracket | Self::CloseParenthesis | Self::CloseSequence => -1,
            _ => 0,
        }
    }
}

/// A token and the spaces before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) spaces: usize,
}

impl Token<'_> {
    /// Whether a line ends with it.
    pub(super) fn ends_line(&self) -> bool {
        match self.kind {
            Kind::Newline => true,
            Kind::Comment => self.text.ends_with('\n'),
            _ => false,
        }
    }
}

/// The tokens of a text, and the number of spaces after the last.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, usize) {
    let mut scanner = Scanner { rest: text, frames: Vec::new(), tokens: Vec::with_capacity(text.len() / 4) };
    let mut spaces = 0;
    while let Some(first) = scanner.rest.chars().next() {
        match scanner.frames.last() {
            Some(Frame::Quote) => scanner.in_quote(first),
            Some(Frame::Heredoc { .. }) => scanner.in_heredoc(),
            _ if matches!(first, ' ' | '\t') => {
                spaces += 1;
                scanner.rest = &scanner.rest[1..];
                continue;
            }
            _ => scanner.in_code(first, std::mem::take(&mut spaces)),
        }
    }
    (scanner.tokens, spaces)
}

enum Frame<'t> {
    Brace,
    Sequence,
    Quote,
    Heredoc { marker: &'t str },
}

struct Scanner<'t> {
    rest: &'t str,
    /// What is open, innermost last; nothing is code.
    frames: Vec<Frame<'t>>,
    tokens: Vec<Token<'t>>,
}

/// Tokens of more than one character, the longer ones first.
const SIGNS: [(&str, Kind); 26] = [
    ("...", Kind::Ellipsis),
    ("==", Kind::Operator),
    ("!=", Kind::Operator),
    (">=", Kind::Operator),
    ("<=", Kind::Operator),
    ("&&", Kind::Operator),
    ("||", Kind::Operator),
    ("::", Kind::DoubleColon),
    ("=>", Kind::Other),
    ("\r\n", Kind::Newline),
    ("\n", Kind::Newline),
    (".", Kind::Dot),
    (",", Kind::Comma),
    ("=", Kind::Equal),
    (":", Kind::Colon),
    ("?", Kind::Question),
    ("-", Kind::Minus),
    ("!", Kind::Bang),
    ("+", Kind::Operator),
    ("*", Kind::Operator),
    ("/", Kind::Operator),
    ("%", Kind::Operator),
    ("<", Kind::Operator),
    (">", Kind::Operator),
    ("[", Kind::OpenBracket),
    ("]", Kind::CloseBracket),
];

impl<'t> Scanner<'t> {
    fn take(&mut self, kind: Kind, length: usize, spaces: usize) {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.tokens.push(Token { kind, text, spaces });
    }

    fn in_code(&mut self, first: char, spaces: usize) {
        let rest = self.rest;
        match first {
            '#' => self.take(Kind::Comment, line_length(rest), spaces),
            '/' if rest.starts_with("//") => self.take(Kind::Comment, line_length(rest), spaces),
            '/' if rest.starts_with("/*") => {
                let length = rest[2..].find("*/").map_or(rest.len(), |i| i + 4);
                self.take(Kind::Comment, length, spaces);
            }
            '"' => {
                self.take(Kind::OpenQuote, 1, spaces);
                self.frames.push(Frame::Quote);
            }
            '<' if let Some(marker) = heredoc_marker(rest) => {
                self.take(Kind::OpenHeredoc, line_length(rest), spaces);
                self.frames.push(Frame::Heredoc { marker });
            }
            '{' => {
                self.take(Kind::OpenBrace, 1, spaces);
                self.frames.push(Frame::Brace);
            }
            '}' => self.close_brace(1, spaces),
            '~' if rest.starts_with("~}") => self.close_brace(2, spaces),
            '(' => self.take(Kind::OpenParenthesis, 1, spaces),
            ')' => self.take(Kind::CloseParenthesis, 1, spaces),
            '0'..='9' => self.take(Kind::Number, number_length(rest), spaces),
            c if begins_name(c) => {
                let length = rest.find(|c| !continues_name(c)).unwrap_or(rest.len());
                self.take(Kind::Name, length, spaces);
            }
            _ => {
                let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
                let (length, kind) =
                    sign.map_or((first.len_utf8(), Kind::Other), |(s, kind)| (s.len(), *kind));
                self.take(kind, length, spaces);
            }
        }
    }

    fn close_brace(&mut self, length: usize, spaces: usize) {
        let kind = match self.frames.pop() {
            Some(Frame::Sequence) => Kind::CloseSequence,
            _ if length > 1 => Kind::CloseSequence,
            _ => Kind::CloseBrace,
        };
        self.take(kind, length, spaces);
    }

    fn in_quote(&mut self, first: char) {
        if first == '"' {
            self.frames.pop();
            self.take(Kind::CloseQuote, 1, 0);
            return;
        }
        let mut length = 0;
        loop {
            let rest = &self.rest[length..];
            length += match rest.chars().next() {
                None | Some('"') => break,
                Some('\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                Some(c) => match literal_length(rest, c) {
                    Some(literal) => literal,
                    None => break,
                },
            };
        }
        self.text_or_sequence(length);
    }

    fn in_heredoc(&mut self) {
        let Some(Frame::Heredoc { marker }) = self.frames.last() else { return };
        let mut length = 0;
        // The opener ends with its line, so the text begins at the begin of a line unless a sequence came before.
        let mut line_begins = self.tokens.last().is_some_and(|t| t.text.ends_with('\n'));
        loop {
            let rest = &self.rest[length..];
            if line_begins && rest.split('\n').next().is_some_and(|line| line.trim() == *marker) {
                self.close_heredoc(length);
                return;
            }
            let Some(c) = rest.chars().next() else { break };
            line_begins = c == '\n';
            match literal_length(rest, c) {
                Some(literal) => length += literal,
                None => break,
            }
        }
        self.text_or_sequence(length);
    }

    /// Ends a heredoc whose closing line begins `length` bytes ahead. The line's end is a token of its own.
    fn close_heredoc(&mut self, length: usize) {
        if length > 0 {
            self.take(Kind::Text, length, 0);
        }
        let line = self.rest.split('\n').next().unwrap_or_default();
        let line = if self.rest.len() > line.len() { line.strip_suffix('\r').unwrap_or(line) } else { line };
        self.take(Kind::CloseHeredoc, line.len(), 0);
        self.frames.pop();
    }

    /// Takes so much text, or, when there is none, the sequence that begins here.
    fn text_or_sequence(&mut self, length: usize) {
        if length > 0 {
            self.take(Kind::Text, length, 0);
            return;
        }
        let strip = usize::from(self.rest[2..].starts_with('~'));
        self.take(Kind::OpenSequence, 2 + strip, 0);
        self.frames.push(Frame::Sequence);
    }
}

/// How long the line is, with its end.
fn line_length(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// The word that ends the heredoc which begins here, if one does.
fn heredoc_marker(text: &str) -> Option<&str> {
    let line = text.strip_prefix("<<")?.split_once('\n')?.0;
    let line = line.strip_suffix('\r').unwrap_or(line);
    let marker = line.strip_prefix('-').unwrap_or(line);
    (marker.starts_with(begins_name) && marker.chars().all(continues_name)).then_some(marker)
}

/// How much literal text the character `c` begins with which `text` begins; `None` if it begins a sequence.
fn literal_length(text: &str, c: char) -> Option<usize> {
    match c {
        '$' | '%' if text[1..].starts_with('{') => None,
        '$' if text.starts_with("$${") => Some(3),
        '%' if text.starts_with("%%{") => Some(3),
        c => Some(c.len_utf8()),
    }
}

/// Whatever is not ASCII can only be part of a name in sound text.
fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || !c.is_ascii()
}

/// The longest number that `text` begins with; it does not end with a dot.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut at, mut end) = (0, 0);
    loop {
        match bytes.get(at) {
            Some(b'0'..=b'9') => {
                at += 1;
                end = at;
            }
            Some(b'.') => at += 1,
            Some(b'e' | b'E') => {
                let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
                if !digit(at + 1 + sign) {
                    return end;
                }
                at += 2 + sign;
                end = at;
            }
            _ => return end,
        }
    }
}
