//! `csvdecode`: RFC 4180 as Go reads it. Blank lines are skipped; quotes must be paired and stand alone.

use std::collections::BTreeMap;

use super::argument::{Outcome, check_count, string, text};
use super::{Function, FunctionError};
use crate::evaluate::MAP_COST;
use crate::types::{ObjectAttribute, Type};
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    vec![Function::new("csvdecode", [string("str")], Type::list(Type::Any), decode)]
}

/// A list of objects, one for each line but the first, which names the attributes.
fn decode(args: &[Value]) -> Outcome {
    let source = text(args, 0)?.replace("\r\n", "\n");
    let mut records = Records { rest: &source, line: 1 };
    let fail = |message: String| FunctionError::argument(0, message);
    let (_, header) = records.next().ok_or_else(|| fail("missing header line".to_owned()))?.map_err(fail)?;
    let mut attributes = BTreeMap::new();
    for name in &header {
        let repeated = attributes.insert(name.clone(), ObjectAttribute::required(Type::String)).is_some();
        if repeated {
            return Err(fail(format!("duplicate column name {name:?}")));
        }
    }
    let mut rows = Vec::new();
    for record in records {
        let (line, fields) = record.map_err(fail)?;
        if fields.len() != header.len() {
            return Err(fail(format!("CSV parse error on line {line}: wrong number of fields")));
        }
        check_count((rows.len() + 1).saturating_mul(header.len() + MAP_COST as usize))?;
        rows.push(Value::object(header.iter().cloned().zip(fields.into_iter().map(Value::from))));
    }
    Ok(Value::list(Type::Object(attributes), rows))
}

/// Records with the numbers of their lines.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<(usize, Vec<String>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest.strip_prefix('\n') {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let mut fields = Vec::new();
        loop {
            let field = if self.rest.starts_with('"') { self.quoted() } else { self.bare() };
            match field {
                Ok(field) => fields.push(field),
                Err(message) => {
                    self.rest = "";
                    return Some(Err(format!("CSV parse error on line {}: {message}", self.line)));
                }
            }
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('\n') {
                self.rest = rest;
                self.line += 1;
            }
            return Some(Ok((line, fields)));
        }
    }
}

impl Records<'_> {
    fn bare(&mut self) -> Result<String, String> {
        let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        if field.contains('"') {
            return Err("bare \" in non-quoted field".to_owned());
        }
        self.rest = rest;
        Ok(field.to_owned())
    }

    fn quoted(&mut self) -> Result<String, String> {
        let bad_quote = || Err("extraneous or missing \" in quoted-field".to_owned());
        let mut field = String::new();
        self.rest = &self.rest[1..];
        loop {
            let Some(end) = self.rest.find('"') else { return bad_quote() };
            field.push_str(&self.rest[..end]);
            self.line += self.rest[..end].matches('\n').count();
            self.rest = &self.rest[end + 1..];
            if let Some(rest) = self.rest.strip_prefix('"') {
                field.push('"');
                self.rest = rest;
            } else if self.rest.is_empty() || self.rest.starts_with([',', '\n']) {
                return Ok(field);
            } else {
                return bad_quote();
            }
        }
    }
}
