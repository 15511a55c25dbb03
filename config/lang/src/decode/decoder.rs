//! The serde side of weak decoding: each kind that a field asks for is made from whatever the value is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::ToPrimitive;
use serde::de::{self, IntoDeserializer, Visitor};

use super::error::DecodeError;
use super::number::{parse_bool, parse_float, parse_int};
use crate::convert::{number_text, primitive_text};
use crate::value::{Data, Value};

/// The text that stands for one that isn't known yet, as Packer shows it to validation.
const UNKNOWN: &str = "<unknown>";
/// How deep lists and objects may be nested.
const MAX_DEPTH: usize = 64;

/// One value on its way into a Rust type.
pub(super) struct Decoder<'a> {
    value: Cow<'a, Value>,
    path: String,
    /// Whether the value, or something around it, is a secret.
    sensitive: bool,
    /// Fields to leave out, by path.
    skipped: &'a BTreeSet<String>,
    depth: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(value: &'a Value, skipped: &'a BTreeSet<String>) -> Self {
        Self {
            value: Cow::Borrowed(value),
            path: String::new(),
            sensitive: value.sensitive,
            skipped,
            depth: 0,
        }
    }

    fn child(&self, value: Cow<'a, Value>, path: String) -> Decoder<'a> {
        let sensitive = self.sensitive || value.sensitive;
        Decoder { value, path, sensitive, skipped: self.skipped, depth: self.depth + 1 }
    }

    /// "… is required, but found …", with the value itself unless it is a secret.
    fn required(&self, wanted: &str) -> DecodeError {
        let kind = match &self.value.data {
            Data::Null(_) => "null",
            Data::Unknown(_) => "a value not known yet",
            Data::Bool(_) => "the bool",
            Data::Number(_) => "the number",
            Data::String(_) => "the string",
            Data::List(..) | Data::Set(..) | Data::Tuple(_) => "a list",
            Data::Map(..) | Data::Object(_) => "an object",
        };
        let shown = match primitive_text(&self.value) {
            None => String::new(),
            Some(_) if self.sensitive => " (sensitive)".to_owned(),
            Some(text) if self.value.as_str().is_some() => format!(" {text:?}"),
            Some(text) => format!(" {text}"),
        };
        DecodeError::at(&self.path, format!("{wanted} is required, but found {kind}{shown}"))
    }

    fn text(&self) -> Result<Cow<'_, str>, DecodeError> {
        match &self.value.data {
            Data::Unknown(_) => Ok(UNKNOWN.into()),
            Data::Null(_) => Ok("".into()),
            Data::String(text) => Ok(Cow::Borrowed(text)),
            _ => primitive_text(&self.value).map(Cow::Owned).ok_or_else(|| self.required("a string")),
        }
    }

    fn bool(&self) -> Result<bool, DecodeError> {
        let found = match &self.value.data {
            Data::Null(_) | Data::Unknown(_) => Some(false),
            Data::Bool(b) => Some(*b),
            Data::Number(n) => Some(number_text(n) != "0"),
            Data::String(text) if text.is_empty() => Some(false),
            Data::String(text) => parse_bool(text),
            _ => None,
        };
        found.ok_or_else(|| self.required("true or false"))
    }

    fn integer(&self) -> Result<i128, DecodeError> {
        let found = match &self.value.data {
            Data::Null(_) | Data::Unknown(_) => Some(0),
            Data::Bool(b) => Some(i128::from(*b)),
            Data::Number(n) if n.is_integer() => n.to_i128(),
            Data::String(text) => parse_int(text),
            _ => None,
        };
        found.ok_or_else(|| self.required("a whole number"))
    }

    fn float(&self) -> Result<f64, DecodeError> {
        let found = match &self.value.data {
            Data::Null(_) | Data::Unknown(_) => Some(0.0),
            Data::Bool(b) => Some(f64::from(u8::from(*b))),
            Data::Number(n) => n.to_f64(),
            Data::String(text) => parse_float(text),
            _ => None,
        };
        found.ok_or_else(|| self.required("a number"))
    }

    fn items(&self) -> Vec<Cow<'a, Value>> {
        let part = |text: &str| Cow::Owned(Value::string(text).marked(self.value.sensitive));
        match &self.value {
            _ if self.value.is_null() || !self.value.is_known() => Vec::new(),
            Cow::Borrowed(Value { data: Data::List(_, i) | Data::Set(_, i) | Data::Tuple(i), .. }) => {
                i.iter().map(Cow::Borrowed).collect()
            }
            value => match &value.data {
                Data::List(_, i) | Data::Set(_, i) | Data::Tuple(i) => {
                    i.iter().cloned().map(Cow::Owned).collect()
                }
                Data::String(text) if text.is_empty() => Vec::new(),
                Data::String(text) => text.split(',').map(part).collect(),
                Data::Map(_, entries) | Data::Object(entries) if entries.is_empty() => Vec::new(),
                _ => vec![value.clone()],
            },
        }
    }

    /// The entries of an object; those of several objects one after the other.
    fn entries(&self) -> Option<Vec<(String, Value)>> {
        match &self.value.data {
            Data::Null(_) | Data::Unknown(_) => Some(Vec::new()),
            Data::Map(_, entries) | Data::Object(entries) => {
                Some(entries.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            }
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
                let mut merged = BTreeMap::new();
                for item in items {
                    merged.extend(item.as_entries()?.clone());
                }
                Some(merged.into_iter().collect())
            }
            _ => None,
        }
    }

    fn member_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn check_depth(&self) -> Result<(), DecodeError> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(DecodeError::at(&self.path, format!("nested deeper than {MAX_DEPTH} levels")))
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.check_depth()?;
        let entries = self.entries().ok_or_else(|| self.required("an object"))?;
        let members = entries
            .into_iter()
            .map(|(key, value)| {
                let path = self.member_path(&key);
                (key, self.child(Cow::Owned(value), path))
            })
            .collect::<Vec<_>>();
        visitor
            .visit_map(Members { members: members.into_iter(), next: None, fields: false })
            .map_err(|e| e.within(&self.path))
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.check_depth()?;
        let items = self.items();
        let single = !matches!(self.value.data, Data::List(..) | Data::Set(..) | Data::Tuple(_));
        let path = |i| if single { self.path.clone() } else { format!("{}[{i}]", self.path) };
        let items: Vec<_> = items.into_iter().enumerate().map(|(i, v)| self.child(v, path(i))).collect();
        visitor.visit_seq(Items(items.into_iter())).map_err(|e| e.within(&self.path))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $ty:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let number = self.integer()?;
            let fitting = <$ty>::try_from(number).map_err(|_| {
                let range = format!("a whole number between {} and {}", <$ty>::MIN, <$ty>::MAX);
                self.required(&range)
            })?;
            visitor.$visit(fitting).map_err(|e: DecodeError| e.within(&self.path))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let visited = match &self.value.data {
            Data::Null(_) => visitor.visit_unit(),
            Data::Unknown(_) => visitor.visit_none(),
            Data::Bool(b) => visitor.visit_bool(*b),
            Data::String(text) => visitor.visit_str(text),
            Data::Number(n) => match (n.is_integer().then(|| n.to_i64()).flatten(), n.to_f64()) {
                (Some(whole), _) => visitor.visit_i64(whole),
                (None, Some(float)) => visitor.visit_f64(float),
                _ => visitor.visit_str(&number_text(n)),
            },
            Data::List(..) | Data::Set(..) | Data::Tuple(_) => return self.list(visitor),
            Data::Map(..) | Data::Object(_) => return self.map(visitor),
        };
        visited.map_err(|e: DecodeError| {
            // A visitor's own words may quote what it was given.
            let e = e.within(&self.path);
            if self.sensitive { self.required("another value") } else { e }
        })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.bool()?)
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i128(self.integer()?)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let number = u128::try_from(self.integer()?).map_err(|_| self.required("a whole number from 0"))?;
        visitor.visit_u128(number)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let visited = visitor.visit_str(&self.text()?);
        visited.map_err(
            |e: DecodeError| {
                if self.sensitive { self.required("another string") } else { e.within(&self.path) }
            },
        )
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bytes(self.text()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.check_depth()?;
        if self.value.as_items().is_some_and(|items| items.len() > 1) {
            return Err(self.required("a single block"));
        }
        let entries = self.entries().ok_or_else(|| self.required("an object"))?;
        let known = |key: &str| {
            let same = fields.iter().find(|f| **f == key);
            same.or_else(|| fields.iter().find(|f| f.eq_ignore_ascii_case(key))).copied()
        };
        let mut members: Vec<(String, Decoder<'_>)> = Vec::new();
        for (key, value) in entries {
            let path = self.member_path(&key);
            let Some(field) = known(&key) else { continue };
            let absent = value.is_null() || self.skipped.contains(&path);
            // An exact name wins over one in another case.
            let repeats = key != field && members.iter().any(|(name, _)| name == field);
            if !absent && !repeats {
                members.retain(|(name, _)| name != field);
                members.push((field.to_owned(), self.child(Cow::Owned(value), path)));
            }
        }
        visitor
            .visit_map(Members { members: members.into_iter(), next: None, fields: true })
            .map_err(|e| e.within(&self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.text()?;
        visitor.visit_enum(text.into_deserializer()).map_err(|e: DecodeError| e.within(&self.path))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

struct Items<'a>(std::vec::IntoIter<Decoder<'a>>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(item) = self.0.next() else { return Ok(None) };
        let path = item.path.clone();
        seed.deserialize(item).map(Some).map_err(|e| e.within(&path))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Members<'a> {
    members: std::vec::IntoIter<(String, Decoder<'a>)>,
    next: Option<Decoder<'a>>,
    /// Whether they are fields of a struct, which can be left out one by one.
    fields: bool,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.next = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let value =
            self.next.take().ok_or_else(|| DecodeError::at("", "a value was asked for without its key"))?;
        let path = value.path.clone();
        let decoded = seed.deserialize(value);
        decoded.map_err(|e| if self.fields { e.in_field(&path) } else { e.within(&path) })
    }
}
