//! Values: what an expression yields. Each may be *unknown* (only its type is known before the build runs)
//! and carries a *sensitive* mark that survives every operation and hides it from `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use serde::{Deserialize, Serialize};

use crate::types::{ObjectAttribute, Type};

/// A number: decimal and exact, so that `0.1 + 0.2` is `0.3`.
pub type Number = BigDecimal;

/// A value and its marks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// What it is.
    pub data: Data,
    /// Whether showing it would tell a secret. Containers are marked when the whole is secret; their
    /// members may carry marks of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// Absent, of a type if one is known.
    Null(Type),
    /// Not known before the build runs; only the type is.
    Unknown(Type),
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(Arc<str>),
    /// Values of one type, in order.
    List(Type, Vec<Value>),
    /// Different values of one type, kept sorted.
    Set(Type, Vec<Value>),
    /// Values of any types, in order: what `[…]` yields.
    Tuple(Vec<Value>),
    /// Values of one type by key.
    Map(Type, BTreeMap<String, Value>),
    /// Values of any types by name: what `{…}` yields.
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// A value without marks.
    pub fn new(data: Data) -> Self {
        Self { data, sensitive: false }
    }

    /// Text.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::new(Data::String(text.into()))
    }

    /// `true` or `false`.
    pub fn bool(b: bool) -> Self {
        Self::new(Data::Bool(b))
    }

    /// A number.
    pub fn number(n: impl Into<Number>) -> Self {
        Self::new(Data::Number(n.into()))
    }

    /// Null of no particular type.
    pub fn null() -> Self {
        Self::new(Data::Null(Type::Any))
    }

    /// A value of which only the type is known.
    pub fn unknown(ty: Type) -> Self {
        Self::new(Data::Unknown(ty))
    }

    /// What `[…]` yields.
    pub fn tuple(items: Vec<Value>) -> Self {
        Self::new(Data::Tuple(items))
    }

    /// A list whose members have type `of`.
    pub fn list(of: Type, items: Vec<Value>) -> Self {
        Self::new(Data::List(of, items))
    }

    /// What `{…}` yields.
    pub fn object(attributes: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self::new(Data::Object(attributes.into_iter().collect()))
    }

    /// The same value, marked sensitive if `sensitive`.
    #[must_use]
    pub fn marked(mut self, sensitive: bool) -> Self {
        self.sensitive |= sensitive;
        self
    }

    /// Its type; `Any` inside when a part is null or unknown of no particular type.
    pub fn ty(&self) -> Type {
        match &self.data {
            Data::Null(t) | Data::Unknown(t) => t.clone(),
            Data::Bool(_) => Type::Bool,
            Data::Number(_) => Type::Number,
            Data::String(_) => Type::String,
            Data::List(t, _) => Type::list(t.clone()),
            Data::Set(t, _) => Type::set(t.clone()),
            Data::Map(t, _) => Type::map(t.clone()),
            Data::Tuple(items) => Type::Tuple(items.iter().map(Value::ty).collect()),
            Data::Object(attributes) => Type::Object(
                attributes.iter().map(|(k, v)| (k.clone(), ObjectAttribute::required(v.ty()))).collect(),
            ),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null(_))
    }

    /// Whether the value itself is known (its members may still be unknown).
    pub fn is_known(&self) -> bool {
        !matches!(self.data, Data::Unknown(_))
    }

    /// Whether it and everything inside it is known.
    pub fn is_wholly_known(&self) -> bool {
        self.is_known() && self.children().all(Value::is_wholly_known)
    }

    /// Whether it or anything inside it is marked sensitive.
    pub fn contains_sensitive(&self) -> bool {
        self.sensitive || self.children().any(Value::contains_sensitive)
    }

    /// Its direct members.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match &self.data {
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => Box::new(items.iter()),
            Data::Map(_, entries) | Data::Object(entries) => Box::new(entries.values()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The text of a known string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(s) => Some(s),
            _ => None,
        }
    }

    /// A known bool.
    pub fn as_bool(&self) -> Option<bool> {
        match self.data {
            Data::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// A known number.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.data {
            Data::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The members of a known list, set or tuple.
    pub fn as_items(&self) -> Option<&[Value]> {
        match &self.data {
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a known map or object.
    pub fn as_entries(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.data {
            Data::Map(_, entries) | Data::Object(entries) => Some(entries),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::string(text)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::bool(b)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::number(n)
    }
}

/// Shows the value for developers; `(sensitive)` in place of anything marked.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive {
            return f.write_str("(sensitive)");
        }
        match &self.data {
            Data::Null(_) => f.write_str("null"),
            Data::Unknown(t) => write!(f, "unknown({t})"),
            Data::Bool(b) => write!(f, "{b}"),
            Data::Number(n) => write!(f, "{}", n.normalized().to_plain_string()),
            Data::String(s) => write!(f, "{s:?}"),
            Data::List(_, items) | Data::Tuple(items) => f.debug_list().entries(items).finish(),
            Data::Set(_, items) => f.debug_set().entries(items).finish(),
            Data::Map(_, entries) | Data::Object(entries) => f.debug_map().entries(entries).finish(),
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::new(self.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_what_is_sensitive() {
        let secret = Value::string("hunter2").marked(true);
        let shown = format!("{:?}", Value::object([("password".to_owned(), secret)]));
        assert_eq!(shown, r#"{"password": (sensitive)}"#);
    }
}
