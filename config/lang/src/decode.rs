//! Configs of components from values, weakly typed as Packer decodes them: a component writes a plain struct with
//! `#[derive(Deserialize)] #[serde(default)]` and gets text as numbers, single values as lists, and so on.
//!
//! | given | wanted | becomes |
//! |---|---|---|
//! | number, bool | text | as a template prints it: `7`, `1.5`, `true` |
//! | text | number | read as Go does: `12`, `0x1f`, `""` is 0 |
//! | text, number | bool | `1 t true 0 f false ""`; any number but 0 is true |
//! | text | list | split at commas; `""` is empty |
//! | any other single value | list | a list of one |
//! | list of one object | struct | the object |
//! | list of objects | map | all of them merged |
//! | null, or absent | anything | what the struct's default says |
//! | not yet known | anything | what Packer shows to validation: `<unknown>`, 0, false, empty |
//!
//! Keys match names of fields without regard to case if none fits exactly. Unknown keys are ignored: the check
//! against the schema finds them. Don't use `#[serde(flatten)]`: serde then decodes without knowing the types that
//! are wanted; decode two structs from the same value instead.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::value::Value;

mod decoder;
mod error;
mod names;
mod number;

pub use error::{DecodeError, DecodeErrors};
pub use names::field_names;

/// How many mistakes of one config are reported.
const MAX_ERRORS: usize = 50;

/// Decodes a config. Fields fail independently of each other, so that all mistakes are told at once.
///
/// # Errors
/// One [`DecodeError`] for each field at fault, in the order of the fields' names; never showing a secret.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, DecodeErrors> {
    let mut skipped = BTreeSet::new();
    let mut errors: Vec<DecodeError> = Vec::new();
    loop {
        match T::deserialize(decoder::Decoder::new(value, &skipped)) {
            Ok(decoded) if errors.is_empty() => return Ok(decoded),
            Ok(_) => return Err(DecodeErrors(errors)),
            Err(error) => {
                // What is left out because it is wrong may then be missing: no news.
                let repeats = errors.len() >= MAX_ERRORS || error.caused_by(&skipped);
                let field = error.field.clone();
                if !repeats {
                    errors.push(error);
                }
                if repeats || field.is_empty() || !skipped.insert(field) {
                    return Err(DecodeErrors(errors));
                }
            }
        }
    }
}

/// A bool that may also be unset, which differs from both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trilean {
    /// Not given, or given as null or "".
    #[default]
    Unset,
    /// `true`
    True,
    /// `false`
    False,
}

impl Trilean {
    /// `Some` unless unset.
    pub fn get(self) -> Option<bool> {
        match self {
            Trilean::Unset => None,
            Trilean::True => Some(true),
            Trilean::False => Some(false),
        }
    }

    /// Its bool, or `default` when unset.
    pub fn unwrap_or(self, default: bool) -> bool {
        self.get().unwrap_or(default)
    }
}

impl From<bool> for Trilean {
    fn from(b: bool) -> Self {
        if b { Trilean::True } else { Trilean::False }
    }
}

/// Written as a bool or null.
impl Serialize for Trilean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

/// Read from a bool, a text that Go's `ParseBool` takes, "" or null.
impl<'de> Deserialize<'de> for Trilean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TrileanVisitor)
    }
}

struct TrileanVisitor;

impl de::Visitor<'_> for TrileanVisitor {
    type Value = Trilean;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Trilean, E> {
        Ok(b.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Trilean, E> {
        match text {
            "" => Ok(Trilean::Unset),
            text => number::parse_bool(text)
                .map(Trilean::from)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Trilean, E> {
        Ok(Trilean::Unset)
    }

    fn visit_none<E: de::Error>(self) -> Result<Trilean, E> {
        Ok(Trilean::Unset)
    }
}

#[cfg(test)]
mod tests;
