//! The types of values, as HCL and Packer's type constraints know them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a value, or a constraint on one (`Any` fits every type).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Type {
    /// No constraint, or not known.
    Any,
    /// `string`
    String,
    /// `number`
    Number,
    /// `bool`
    Bool,
    /// `list(T)`
    List(Box<Type>),
    /// `set(T)`
    Set(Box<Type>),
    /// `map(T)`
    Map(Box<Type>),
    /// `object({…})`
    Object(BTreeMap<String, ObjectAttribute>),
    /// `tuple([…])`
    Tuple(Vec<Type>),
}

/// One attribute of an object type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectAttribute {
    /// Its type.
    pub ty: Type,
    /// Whether it was declared with `optional(T)`; a missing one becomes null (or its default).
    pub optional: bool,
}

impl ObjectAttribute {
    /// A required attribute.
    pub fn required(ty: Type) -> Self {
        Self { ty, optional: false }
    }
}

impl Type {
    /// `list(T)`
    pub fn list(of: Type) -> Self {
        Type::List(Box::new(of))
    }

    /// `set(T)`
    pub fn set(of: Type) -> Self {
        Type::Set(Box::new(of))
    }

    /// `map(T)`
    pub fn map(of: Type) -> Self {
        Type::Map(Box::new(of))
    }

    /// Whether it is string, number or bool.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::String | Type::Number | Type::Bool)
    }

    /// Whether no part of it is `Any`.
    pub fn is_concrete(&self) -> bool {
        match self {
            Type::Any => false,
            Type::String | Type::Number | Type::Bool => true,
            Type::List(t) | Type::Set(t) | Type::Map(t) => t.is_concrete(),
            Type::Object(attributes) => attributes.values().all(|a| a.ty.is_concrete()),
            Type::Tuple(items) => items.iter().all(Type::is_concrete),
        }
    }

    /// What messages call it: `list of string`, `object`, …
    pub fn friendly_name(&self) -> String {
        match self {
            Type::Any => "dynamic".into(),
            Type::String => "string".into(),
            Type::Number => "number".into(),
            Type::Bool => "bool".into(),
            Type::List(t) => format!("list of {}", t.friendly_name()),
            Type::Set(t) => format!("set of {}", t.friendly_name()),
            Type::Map(t) => format!("map of {}", t.friendly_name()),
            Type::Object(_) => "object".into(),
            Type::Tuple(_) => "tuple".into(),
        }
    }
}

/// The constraint as a template spells it: `map(list(string))`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::String => f.write_str("string"),
            Type::Number => f.write_str("number"),
            Type::Bool => f.write_str("bool"),
            Type::List(t) => write!(f, "list({t})"),
            Type::Set(t) => write!(f, "set({t})"),
            Type::Map(t) => write!(f, "map({t})"),
            Type::Tuple(items) => {
                let items: Vec<_> = items.iter().map(Type::to_string).collect();
                write!(f, "tuple([{}])", items.join(", "))
            }
            Type::Object(attributes) => {
                let one = |(k, a): (&String, &ObjectAttribute)| match a.optional {
                    true => format!("{k} = optional({})", a.ty),
                    false => format!("{k} = {}", a.ty),
                };
                let all: Vec<_> = attributes.iter().map(one).collect();
                write!(f, "object({{{}}})", all.join(", "))
            }
        }
    }
}
