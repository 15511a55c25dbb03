//! Strict JSON with the range of every value: no comments, no trailing commas, no key twice.
//!
//! `serde_json` says whether and where the text is wrong, `jsonc-parser` where each value stands.

mod slip;

use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, parse_to_ast};
use kiln_lang::convert::convert;
use kiln_lang::json_text::strict;
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span, Type, Value};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Json {
    pub(crate) span: Span,
    pub(crate) data: JsonData,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JsonData {
    Null,
    Bool(bool),
    /// A number, as the value it stands for.
    Number(Value),
    String(String),
    Array(Vec<Json>),
    /// Members in the order of the text.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Json,
}

impl Json {
    /// What messages call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            JsonData::Null => "null",
            JsonData::Bool(_) => "bool",
            JsonData::Number(_) => "number",
            JsonData::String(_) => "string",
            JsonData::Array(_) => "array",
            JsonData::Object(_) => "object",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.data {
            JsonData::String(s) => Some(s),
            _ => None,
        }
    }

    /// The value it stands for, without the ranges.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            JsonData::Null => Value::null(),
            JsonData::Bool(b) => Value::bool(*b),
            JsonData::Number(n) => n.clone(),
            JsonData::String(s) => Value::from(s.as_str()),
            JsonData::Array(items) => Value::tuple(items.iter().map(Json::to_value).collect()),
            JsonData::Object(members) => {
                Value::object(members.iter().map(|m| (m.key.clone(), m.value.to_value())))
            }
        }
    }

    /// The same for crates that go by `serde_json`. Whole numbers past 64 bits become fractions.
    pub(crate) fn to_serde(&self) -> serde_json::Value {
        match &self.data {
            JsonData::Null => serde_json::Value::Null,
            JsonData::Bool(b) => (*b).into(),
            JsonData::Number(n) => {
                let text = n.as_number().map(kiln_lang::convert::number_text).unwrap_or_default();
                let whole = text.parse::<i64>().map(serde_json::Value::from);
                let whole = whole.or_else(|_| text.parse::<u64>().map(serde_json::Value::from));
                whole.unwrap_or_else(|_| text.parse::<f64>().unwrap_or_default().into())
            }
            JsonData::String(s) => s.as_str().into(),
            JsonData::Array(items) => items.iter().map(Json::to_serde).collect(),
            JsonData::Object(members) => {
                members.iter().map(|m| (m.key.clone(), m.value.to_serde())).collect()
            }
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// All that is wrong with its form: see [`read_all`].
pub(crate) fn read(file: &SourceFile) -> Result<Json, Diagnostics> {
    match read_all(file) {
        (Some(json), found) if !found.has_errors() => Ok(json),
        (_, found) => Err(found),
    }
}

/// Reads a whole file; of a key that stands twice the later counts.
///
/// # Errors
/// The syntax errors.
pub(crate) fn read_last(file: &SourceFile) -> Result<Json, Diagnostics> {
    check_syntax(file).map_err(|first| syntax_errors(file, first).1)?;
    let (json, found) = convert_with(file, &parse_strictly(file)?, Twice::LastCounts);
    if found.has_errors() { Err(found) } else { Ok(json) }
}

/// Reads a whole file as far as it can be understood: with every key that stands twice, and every slip against
/// JSON's syntax if what was meant can be told all the same.
pub(crate) fn read_all(file: &SourceFile) -> (Option<Json>, Diagnostics) {
    if let Err(first) = check_syntax(file) {
        let (value, mut found) = syntax_errors(file, first);
        let json = value.map(|value| {
            let (json, more) = convert_with(file, &value, Twice::Refused);
            found.extend(more);
            json
        });
        return (json, found);
    }
    match parse_strictly(file) {
        Ok(value) => {
            let (json, found) = convert_with(file, &value, Twice::Refused);
            (Some(json), found)
        }
        Err(diagnostic) => (None, diagnostic.into()),
    }
}

/// What becomes of a key that stands twice in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    Refused,
    LastCounts,
}

fn parse_strictly(file: &SourceFile) -> Result<ast::Value<'_>, Diagnostic> {
    let parsed = parse_to_ast(file.text(), &CollectOptions::default(), &strict()).map_err(|error| {
        let range = error.range();
        syntax_error(file, range.start, &error.kind().to_string())
    })?;
    parsed.value.ok_or_else(|| syntax_error(file, 0, "the file is empty"))
}

fn convert_with(file: &SourceFile, value: &ast::Value<'_>, twice: Twice) -> (Json, Diagnostics) {
    let mut reader = Reader { file, twice, found: Diagnostics::new() };
    let json = reader.convert(value);
    (json, reader.found)
}

/// The first error as the strict parser tells it, made more exact by the slip behind it, and all further slips;
/// with the value, if what was meant can be told.
fn syntax_errors(file: &SourceFile, first: Diagnostic) -> (Option<ast::Value<'_>>, Diagnostics) {
    let Some((value, slips)) = slip::lenient(file.text()) else { return (None, first.into()) };
    let span = |slip: &slip::Slip| Span::new(file.name().clone(), slip.start, slip.end);
    let mut found = Diagnostics::new();
    for (i, slip) in slips.iter().enumerate() {
        found.push(match i {
            0 => Diagnostic { hint: None, ..first.clone() }.at(span(slip)).hint(slip.hint),
            _ => syntax_error(file, slip.start, slip.message).at(span(slip)).hint(slip.hint),
        });
    }
    (Some(value), found)
}

fn check_syntax(file: &SourceFile) -> Result<(), Diagnostic> {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(file.text()) else { return Ok(()) };
    let line_start: usize =
        file.text().split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    // Column 0 means that the line break before is at fault.
    let at = (line_start + error.column()).saturating_sub(1).min(file.text().len());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    Err(syntax_error(file, at, message))
}

/// The complaint, with the position in Packer's words and by its count: the offset is that after the byte at
/// fault, and columns begin with 1 before the first byte of a line, but with 0 on line 1.
fn syntax_error(file: &SourceFile, at: usize, message: &str) -> Diagnostic {
    let at = floor_boundary(file.text(), at);
    let read = file.text().as_bytes().get(..=at).unwrap_or(file.text().as_bytes());
    let line = 1 + read.iter().filter(|b| **b == b'\n').count();
    let column = match read.iter().rposition(|b| *b == b'\n') {
        Some(line_break) => read.len() - line_break,
        None => read.len(),
    };
    let detail =
        format!("Error parsing JSON: {message}\nAt line {line}, column {column} (offset {})", read.len());
    let character = file.text()[at..].chars().next().map_or(0, char::len_utf8);
    Diagnostic::error("Failed to parse template", detail)
        .at(Span::new(file.name().clone(), at, at + character))
        .hint("if this is an HCL2 template, its name must end with .pkr.hcl or .pkr.json")
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

struct Reader<'a> {
    file: &'a SourceFile,
    twice: Twice,
    found: Diagnostics,
}

impl Reader<'_> {
    fn span(&self, range: jsonc_parser::common::Range) -> Span {
        Span::new(self.file.name().clone(), range.start, range.end)
    }

    fn convert(&mut self, value: &ast::Value<'_>) -> Json {
        let (range, data) = match value {
            ast::Value::NullKeyword(null) => (null.range, JsonData::Null),
            ast::Value::BooleanLit(b) => (b.range, JsonData::Bool(b.value)),
            ast::Value::NumberLit(n) => (n.range, JsonData::Number(self.number(n))),
            ast::Value::StringLit(s) => (s.range, JsonData::String(s.value.to_string())),
            ast::Value::Array(a) => {
                (a.range, JsonData::Array(a.elements.iter().map(|e| self.convert(e)).collect()))
            }
            ast::Value::Object(o) => (o.range, JsonData::Object(self.members(o))),
        };
        Json { span: self.span(range), data }
    }

    fn number(&mut self, literal: &ast::NumberLit<'_>) -> Value {
        convert(&Value::from(literal.value), &Type::Number).unwrap_or_else(|_| {
            let detail = format!("The number {} is out of range.", literal.value);
            self.found.push(Diagnostic::error("Invalid number", detail).at(self.span(literal.range)));
            Value::null()
        })
    }

    fn members(&mut self, object: &ast::Object<'_>) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::with_capacity(object.properties.len());
        let mut seen = std::collections::HashSet::new();
        for property in &object.properties {
            let key = property.name.as_str().to_owned();
            let key_span = match &property.name {
                ast::ObjectPropName::String(s) => self.span(s.range),
                ast::ObjectPropName::Word(w) => self.span(w.range),
            };
            let value = self.convert(&property.value);
            if !seen.insert(key.clone()) {
                match self.twice {
                    Twice::LastCounts => members.retain(|member| member.key != key),
                    Twice::Refused => {
                        let detail = format!("template has duplicate field: {key}");
                        self.found.push(Diagnostic::error("Duplicate field", detail).at(key_span.clone()));
                    }
                }
            }
            members.push(Member { key, key_span, value });
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(text: &str) -> Vec<String> {
        let file = SourceFile::new("t.json", text);
        read(&file).err().into_iter().flatten().map(|d| d.detail).collect()
    }

    #[test]
    fn syntax_errors_tell_their_position_in_packers_words() {
        let cases = [
            ("*", "line 1, column 1 (offset 1)"),
            ("{\n  \"a\": 1,\n}", "line 3, column 2 (offset 13)"),
            ("{\"a\": 1 // no\n}", "line 1, column 9 (offset 9)"),
            ("{\"a\": tru }", "line 1, column 10 (offset 10)"),
            ("{\"a\": [1 2]}", "line 1, column 10 (offset 10)"),
            ("{\"a\": tru\n}", "line 2, column 1 (offset 10)"),
            ("", "line 1, column 0 (offset 0)"),
        ];
        for (text, position) in cases {
            let found = details(text);
            assert!(found.len() == 1 && found[0].contains(position), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn syntax_errors_point_into_the_text_and_cut_no_character() {
        for text in ["", "é", "{\"a\": 1}é", "{{\u{7a}\u{301}\"\"", "[", "\u{feff}{"] {
            let file = SourceFile::new("t.json", text);
            let found = read(&file).unwrap_err();
            for span in found.iter().filter_map(|d| d.span.as_ref()) {
                assert!(text.get(span.start..span.end).is_some(), "{text:?}: {span:?}");
            }
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_at_any_depth() {
        let found = details(r#"{"a": {"x": [{"b": 1, "b": 2}]}, "a": 1}"#);
        assert_eq!(found, ["template has duplicate field: b", "template has duplicate field: a"]);
    }

    #[test]
    fn values_keep_their_ranges() {
        let text = r#"{"a": [true, 1.50]}"#;
        let json = read(&SourceFile::new("t.json", text)).unwrap();
        let JsonData::Object(members) = &json.data else { panic!("an object") };
        assert_eq!(&text[members[0].key_span.start..members[0].key_span.end], r#""a""#);
        assert_eq!(&text[members[0].value.span.start..members[0].value.span.end], "[true, 1.50]");
        assert_eq!(format!("{:?}", json.to_value()), r#"{"a": [true, 1.5]}"#);
    }
}
