//! One YAML document as a value. Anchors and merge keys work; what they multiply is bounded.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, StrInput, Tag};

use super::scalar;
use crate::convert::primitive_text;
use crate::evaluate::MAP_COST;
use crate::function::argument::MAX_ITEMS;
use crate::value::Value;

/// How deep sequences and mappings may be nested.
const MAX_DEPTH: usize = 256;
/// The prefix of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

/// Reads the only document of `source`; the error names the line.
pub(super) fn document(source: &str) -> Result<Value, String> {
    let mut reader =
        Reader { parser: Parser::new_from_str(source), anchors: HashMap::new(), made: 0, line: 1 };
    let mut value = Value::null();
    let mut documents = 0;
    loop {
        match reader.next()? {
            Event::StreamEnd if documents == 0 => return Err("missing start of document".to_owned()),
            Event::StreamEnd => return Ok(value),
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(reader.at("only a single document is allowed"));
                }
                let first = reader.next()?;
                value = reader.value(first, 0)?;
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Finished anchors, with the number of values inside.
    anchors: HashMap<usize, (Value, usize)>,
    /// How many values have been made.
    made: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(format!("on line {}: {}", error.marker().line(), error.info())),
            None => Err("unexpected end of the document".to_owned()),
        }
    }

    fn at(&self, message: &str) -> String {
        format!("on line {}: {message}", self.line)
    }

    fn grow(&mut self, by: usize) -> Result<(), String> {
        self.made += by;
        if self.made > MAX_ITEMS {
            return Err(self.at(&format!("the document yields more than {MAX_ITEMS} values")));
        }
        Ok(())
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(self.at(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let before = self.made;
        self.grow(1)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = self.core_tag(tag.as_deref())?;
                (anchor, scalar::resolve(tag.as_deref(), &text, style).map_err(|e| self.at(&e))?)
            }
            Event::SequenceStart(anchor, tag) => {
                self.expect_tag(tag.as_deref(), "seq")?;
                (anchor, self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.expect_tag(tag.as_deref(), "map")?;
                (anchor, self.mapping(depth)?)
            }
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.at("cannot refer to an anchor from inside its own definition"));
                };
                self.grow(size)?;
                return Ok(value);
            }
            _ => return Err(self.at("a value is missing")),
        };
        // Anchors count from 1; 0 is none.
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.made - before));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::tuple(items)),
                event => items.push(self.value(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        self.grow(MAP_COST as usize)?;
        let mut entries = BTreeMap::new();
        loop {
            let event = self.next()?;
            let (text, style, tag) = match event {
                Event::MappingEnd => return Ok(Value::object(entries)),
                Event::Scalar(text, style, _, tag) => (text, style, self.core_tag(tag.as_deref())?),
                _ => return Err(self.at("only strings are allowed as mapping keys")),
            };
            if text == "<<" && tag.is_none() || tag.as_deref() == Some("merge") {
                let event = self.next()?;
                let merged = self.value(event, depth + 1)?;
                self.merge(&merged, &mut entries)?;
                continue;
            }
            let key = scalar::resolve(tag.as_deref(), &text, style).map_err(|e| self.at(&e))?;
            let key = primitive_text(&key).ok_or_else(|| self.at("mapping key cannot be null"))?;
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            entries.insert(key, value);
        }
    }

    /// `<<`: the entries of a mapping, or of each in a sequence.
    fn merge(&self, merged: &Value, entries: &mut BTreeMap<String, Value>) -> Result<(), String> {
        let single = std::slice::from_ref(merged);
        for mapping in merged.as_items().unwrap_or(single) {
            let Some(more) = mapping.as_entries() else {
                let found = mapping.ty().friendly_name();
                return Err(self.at(&format!("cannot merge {found} into mapping")));
            };
            entries.extend(more.clone());
        }
        Ok(())
    }

    /// The name of a tag of YAML's own: `str` of `!!str`.
    fn core_tag(&self, tag: Option<&Tag>) -> Result<Option<String>, String> {
        let Some(tag) = tag else { return Ok(None) };
        let full = format!("{}{}", tag.handle, tag.suffix);
        let name = full.strip_prefix(CORE).or_else(|| full.strip_prefix("!!"));
        name.map(|name| Some(name.to_owned())).ok_or_else(|| self.at(&format!("unsupported tag {full:?}")))
    }

    fn expect_tag(&self, tag: Option<&Tag>, wanted: &str) -> Result<(), String> {
        match self.core_tag(tag)? {
            Some(other) if other != wanted => {
                Err(self.at(&format!("can't interpret !!{wanted} as !!{other}")))
            }
            _ => Ok(()),
        }
    }
}
