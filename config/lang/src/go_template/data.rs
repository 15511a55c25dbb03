//! Between our values and those of the template crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::convert::number_text;
use crate::value::{Data, Value};

/// What a template sees of a value. Whole numbers that fit are integers, others fractions or, past the range of
/// both, texts; what isn't known yet is nothing.
pub(super) fn to_template(value: &Value) -> gotmpl::Value {
    match &value.data {
        Data::Null(_) | Data::Unknown(_) => gotmpl::Value::Nil,
        Data::Bool(b) => gotmpl::Value::Bool(*b),
        Data::String(text) => gotmpl::Value::String(Arc::clone(text)),
        Data::Number(number) => {
            let text = number_text(number);
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(n), _) => gotmpl::Value::Int(n),
                (_, Ok(f)) if f.is_finite() && f.to_string() == text => gotmpl::Value::Float(f),
                _ => gotmpl::Value::String(text.into()),
            }
        }
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            gotmpl::Value::List(items.iter().map(to_template).collect())
        }
        Data::Map(_, entries) | Data::Object(entries) => {
            let entry = |(k, v): (&String, &Value)| (Arc::from(k.as_str()), to_template(v));
            gotmpl::Value::Map(Arc::new(entries.iter().map(entry).collect()))
        }
    }
}

/// A map without entries.
pub(super) fn empty() -> gotmpl::Value {
    gotmpl::Value::Map(Arc::new(BTreeMap::new()))
}
