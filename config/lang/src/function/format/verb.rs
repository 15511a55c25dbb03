//! Taking a format string apart.

use crate::function::FunctionError;

/// The largest width and precision; more would only fill memory.
const MAX_SIZE: usize = 1 << 20;

/// A part of a format string.
pub(super) enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A verb.
    Verb(Verb<'a>),
}

/// `%-08.3[2]f`
pub(super) struct Verb<'a> {
    /// As written.
    pub(super) raw: &'a str,
    /// Where in the format, in bytes.
    pub(super) offset: usize,
    /// The last letter.
    pub(super) letter: char,
    /// The argument it names, from 1.
    pub(super) argument: Option<usize>,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    flags: &'a str,
}

impl Verb<'_> {
    /// Whether the flag (one of `0#-+` and blank) is given.
    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
}

/// The pieces of `format`, in order; the first mistake ends them.
pub(super) fn pieces(format: &str) -> Pieces<'_> {
    Pieces { format, at: 0 }
}

pub(super) struct Pieces<'a> {
    format: &'a str,
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, FunctionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.format[start..];
        if rest.is_empty() {
            return None;
        }
        let plain = rest.find('%').unwrap_or(rest.len());
        if plain > 0 {
            self.at += plain;
            return Some(Ok(Piece::Text(&rest[..plain])));
        }
        if rest.starts_with("%%") {
            self.at += 2;
            return Some(Ok(Piece::Text("%")));
        }
        self.at += 1;
        let verb = self.verb(start);
        if verb.is_err() {
            self.at = self.format.len();
        }
        Some(verb.map(Piece::Verb))
    }
}

impl<'a> Pieces<'a> {
    fn peek(&self) -> Option<char> {
        self.format[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn number(&mut self) -> Result<Option<usize>, FunctionError> {
        let rest = &self.format[self.at..];
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        if count == 0 {
            return Ok(None);
        }
        let number = rest[..count].parse::<usize>().ok().filter(|n| *n <= MAX_SIZE);
        number.map(Some).ok_or_else(|| {
            let digits = &rest[..count];
            FunctionError::argument(0, format!("the number {digits} in the format string is too large"))
        })
    }

    fn verb(&mut self, offset: usize) -> Result<Verb<'a>, FunctionError> {
        let rest = &self.format[self.at..];
        let flags = &rest[..rest.len() - rest.trim_start_matches(['0', '#', '-', '+', ' ']).len()];
        self.at += flags.len();
        let mut verb =
            Verb { raw: "", offset, letter: ' ', argument: None, width: None, precision: None, flags };
        verb.width = self.number()?;
        if self.take('.') {
            verb.precision = Some(self.number()?.unwrap_or(0));
        }
        if self.take('[') {
            let digits_from_one = self.peek().is_some_and(|c| matches!(c, '1'..='9'));
            verb.argument = if digits_from_one { self.number()? } else { None };
            if verb.argument.is_none() || !self.take(']') {
                return Err(self.unrecognized());
            }
        }
        match self.peek() {
            Some(letter) if letter.is_ascii_alphabetic() => {
                self.at += 1;
                verb.letter = letter;
                verb.raw = &self.format[offset..self.at];
                Ok(verb)
            }
            _ => Err(self.unrecognized()),
        }
    }

    fn unrecognized(&self) -> FunctionError {
        FunctionError::argument(
            0,
            match self.peek() {
                Some(c) => format!("unrecognized format character '{c}' at offset {}", self.at),
                None => "unterminated verb at the end of the format string".to_owned(),
            },
        )
    }
}
