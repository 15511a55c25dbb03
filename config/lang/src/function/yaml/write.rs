//! A value as a YAML document, byte for byte as libyaml lays it out: texts in double quotes folded after column 80,
//! those with line ends as literal blocks, sequences in mappings not indented.

use crate::convert::number_text;
use crate::function::FunctionError;
use crate::function::argument::check_size;
use crate::value::{Data, Value};

/// How far each level is indented.
const STEP: usize = 2;
/// Where long texts are folded, at the next blank.
const WIDTH: usize = 80;
/// The longest key that may stand before a colon on one line, in bytes.
const MAX_SIMPLE_KEY: usize = 128;

/// Writes `value`, which must be wholly known.
pub(super) fn document(value: &Value) -> Result<String, FunctionError> {
    let mut writer = Writer { out: String::new(), column: 0, blank: true, at_indent: true };
    writer.node(value, None, Place::Root)?;
    if writer.column > 0 {
        writer.out.push('\n');
    }
    // A plain scalar might go on; this ends it.
    if matches!(value.data, Data::Null(_) | Data::Bool(_) | Data::Number(_)) {
        writer.out.push_str("...\n");
    }
    Ok(writer.out)
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Item,
    MappingValue,
}

struct Writer {
    out: String,
    column: usize,
    /// Whether a blank, or nothing, was written last.
    blank: bool,
    /// Whether only indentation and its marks stand on the line so far.
    at_indent: bool,
}

impl Writer {
    /// `indent` is that of the collection around the node; `None` at the root.
    fn node(&mut self, value: &Value, indent: Option<usize>, place: Place) -> Result<(), FunctionError> {
        check_size(self.out.len())?;
        let inner = indent.map_or(0, |i| i + STEP);
        match &value.data {
            Data::Null(_) | Data::Unknown(_) => self.token("null"),
            Data::Bool(b) => self.token(if *b { "true" } else { "false" }),
            Data::Number(n) => self.token(&number_text(n)),
            Data::String(text) => self.text(text, indent.map_or(STEP, |i| i + STEP)),
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
                let flush = place == Place::MappingValue && !self.at_indent;
                self.sequence(items, if flush { indent.unwrap_or(0) } else { inner })?;
            }
            Data::Map(_, entries) | Data::Object(entries) if entries.is_empty() => self.token("{}"),
            Data::Map(_, entries) | Data::Object(entries) => {
                for (key, value) in entries {
                    self.entry(key, value, inner)?;
                }
            }
        }
        Ok(())
    }

    fn sequence(&mut self, items: &[Value], indent: usize) -> Result<(), FunctionError> {
        if items.is_empty() {
            self.token("[]");
        }
        for item in items {
            self.mark("-", indent);
            self.node(item, Some(indent), Place::Item)?;
        }
        Ok(())
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) -> Result<(), FunctionError> {
        let simple = !key.contains(is_break) && key.len() <= MAX_SIMPLE_KEY;
        if simple {
            self.indent(indent);
            self.quoted(key, None);
            self.put(":");
        } else {
            self.mark("?", indent);
            self.text(key, indent + STEP);
            self.mark(":", indent);
        }
        self.node(value, Some(indent), Place::MappingValue)
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
        self.blank = false;
        self.at_indent = false;
    }

    /// Text set off by a blank from what stands before it.
    fn token(&mut self, text: &str) {
        if !self.blank {
            self.put(" ");
        }
        self.put(text);
    }

    fn line_end(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.blank = true;
        self.at_indent = true;
    }

    /// Begins a line of that indentation, or goes on with this one if it has only marks so far.
    fn indent(&mut self, indent: usize) {
        if !self.at_indent || self.column > indent || self.column == indent && !self.blank {
            self.line_end();
        }
        let missing = indent.saturating_sub(self.column);
        self.out.push_str(&" ".repeat(missing));
        self.column += missing;
        self.blank = true;
        self.at_indent = true;
    }

    /// `-`, `?` or `:` at the beginning of a line, where a nested collection may go on.
    fn mark(&mut self, mark: &str, indent: usize) {
        self.indent(indent);
        self.put(mark);
        self.at_indent = true;
    }

    fn text(&mut self, text: &str, indent: usize) {
        if text.contains('\n') && fits_literal(text) {
            self.literal(text, indent);
        } else {
            self.quoted(text, Some(indent));
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.token("|");
        if text.starts_with([' ', '\n']) {
            self.put(&STEP.to_string());
        }
        if !text.ends_with(is_break) {
            self.put("-");
        } else if text == "\n" || text.ends_with("\n\n") {
            self.put("+");
        }
        self.line_end();
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            if !content.is_empty() {
                self.indent(indent);
                self.put(content);
            }
            if line.ends_with('\n') {
                self.line_end();
            }
        }
    }

    /// In double quotes; folded if an indentation for further lines is given.
    fn quoted(&mut self, text: &str, fold: Option<usize>) {
        self.token("\"");
        let mut after_blank = false;
        for (at, c) in text.char_indices() {
            let inside = at > 0 && at + 1 < text.len();
            match (c, fold) {
                (' ', Some(indent)) if !after_blank && self.column > WIDTH && inside => {
                    self.at_indent = false;
                    self.indent(indent);
                    if text[at + 1..].starts_with(' ') {
                        self.put("\\");
                    }
                }
                _ if is_printable(c) && !is_break(c) && c != '"' && c != '\\' => {
                    self.put(c.encode_utf8(&mut [0; 4]));
                }
                _ => self.put(&escaped(c)),
            }
            after_blank = c == ' ';
        }
        self.put("\"");
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What libyaml writes as it is; beyond the first 65536 characters nothing is.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}') && c != '\u{feff}'
}

fn fits_literal(text: &str) -> bool {
    let blank_before_break = text.chars().zip(text.chars().skip(1)).any(|(a, b)| a == ' ' && is_break(b));
    text.chars().all(is_printable) && !text.ends_with(' ') && !blank_before_break
}

fn escaped(c: char) -> String {
    let code = u32::from(c);
    let letter = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ if code <= 0xff => return format!("\\x{code:02X}"),
        _ if code <= 0xffff => return format!("\\u{code:04X}"),
        _ => return format!("\\U{code:08X}"),
    };
    format!("\\{letter}")
}
