//! The conversions that HCL makes by itself, and the one type that fits several.
//!
//! Primitives convert between string and number or bool where the text reads as such; collections member by
//! member; tuples to lists and sets, objects to maps, and back where a type asks for it.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::types::{ObjectAttribute, Type};
use crate::value::{Data, Number, Value};

/// Why a value does not fit a type, as a phrase like `string required` or `attribute "a": number required`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(pub String);

impl ConvertError {
    fn required(ty: &Type) -> Self {
        let article = if ty.is_primitive() { "a " } else { "" };
        Self(format!("{article}{} is required", ty.friendly_name()))
    }

    fn within(self, place: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

/// Converts `value` to `ty`. Marks are kept. Null and unknown values take the type asked for.
///
/// # Errors
/// A phrase that says which type is required, and where inside the value.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    let data = match (&value.data, ty) {
        (_, Type::Any) => return Ok(value.clone()),
        (Data::Null(_), ty) => Data::Null(ty.clone()),
        (Data::Unknown(_), ty) => Data::Unknown(ty.clone()),
        // Long texts are shared, not copied.
        (Data::String(text), Type::String) => Data::String(text.clone()),
        (_, Type::String) => {
            Data::String(primitive_text(value).ok_or_else(|| ConvertError::required(ty))?.into())
        }
        (Data::Number(_), Type::Number) | (Data::Bool(_), Type::Bool) => value.data.clone(),
        (Data::String(s), Type::Number) => {
            Data::Number(parse_number(s).ok_or_else(|| ConvertError::required(ty))?)
        }
        (Data::String(s), Type::Bool) => Data::Bool(parse_bool(s)?),
        (_, Type::List(of)) => list_of(value, of, ty)?,
        (_, Type::Set(of)) => set_of(value, of, ty)?,
        (_, Type::Tuple(types)) => tuple_of(value, types, ty)?,
        (_, Type::Map(of)) => map_of(value, of, ty)?,
        (_, Type::Object(attributes)) => object_of(value, attributes, ty)?,
        _ => return Err(ConvertError::required(ty)),
    };
    Ok(Value { data, sensitive: value.sensitive })
}

/// The text that a known primitive converts to.
pub fn primitive_text(value: &Value) -> Option<String> {
    match &value.data {
        Data::String(s) => Some(s.to_string()),
        Data::Number(n) => Some(number_text(n)),
        Data::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// A number as templates print it: plain decimal, no exponent, no trailing zeros.
pub fn number_text(number: &Number) -> String {
    number.normalized().to_plain_string()
}

pub(crate) fn parse_number(text: &str) -> Option<Number> {
    let plausible = text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '.');
    // An absurd exponent would make a number of that many digits.
    let modest = text.len() <= 512
        && text.rsplit(['e', 'E']).next().is_some_and(|e| e.len() <= 4 || e.len() == text.len());
    if plausible && modest { Number::from_str(text).ok() } else { None }
}

fn parse_bool(text: &str) -> Result<bool, ConvertError> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ConvertError::required(&Type::Bool)),
    }
}

fn items_of<'a>(value: &'a Value, ty: &Type) -> Result<&'a [Value], ConvertError> {
    value.as_items().ok_or_else(|| ConvertError::required(ty))
}

fn convert_items(items: &[Value], of: &Type) -> Result<(Type, Vec<Value>), ConvertError> {
    let of =
        if of.is_concrete() { of.clone() } else { unify(items.iter().map(Value::ty)).unwrap_or(Type::Any) };
    let each = |(i, v): (usize, &Value)| convert(v, &of).map_err(|e| e.within(format_args!("element {i}")));
    let items = items.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    Ok((of, items))
}

fn list_of(value: &Value, of: &Type, ty: &Type) -> Result<Data, ConvertError> {
    let (of, items) = convert_items(items_of(value, ty)?, of)?;
    Ok(Data::List(of, items))
}

fn set_of(value: &Value, of: &Type, ty: &Type) -> Result<Data, ConvertError> {
    let (of, items) = convert_items(items_of(value, ty)?, of)?;
    Ok(set(of, items))
}

fn tuple_of(value: &Value, types: &[Type], ty: &Type) -> Result<Data, ConvertError> {
    let items = items_of(value, ty)?;
    if items.len() != types.len() {
        return Err(ConvertError(format!("a tuple of {} elements is required", types.len())));
    }
    let each = |(i, (v, t)): (usize, (&Value, &Type))| {
        convert(v, t).map_err(|e| e.within(format_args!("element {i}")))
    };
    items.iter().zip(types).enumerate().map(each).collect::<Result<_, _>>().map(Data::Tuple)
}

fn map_of(value: &Value, of: &Type, ty: &Type) -> Result<Data, ConvertError> {
    let entries = value.as_entries().ok_or_else(|| ConvertError::required(ty))?;
    let of = if of.is_concrete() {
        of.clone()
    } else {
        unify(entries.values().map(Value::ty)).unwrap_or(Type::Any)
    };
    let each = |(k, v): (&String, &Value)| {
        convert(v, &of).map(|v| (k.clone(), v)).map_err(|e| e.within(format_args!("element {k:?}")))
    };
    let entries = entries.iter().map(each).collect::<Result<_, _>>()?;
    Ok(Data::Map(of, entries))
}

fn object_of(
    value: &Value,
    attributes: &BTreeMap<String, ObjectAttribute>,
    ty: &Type,
) -> Result<Data, ConvertError> {
    let entries = value.as_entries().ok_or_else(|| ConvertError::required(ty))?;
    let each = |(name, attribute): (&String, &ObjectAttribute)| match entries.get(name) {
        Some(v) => convert(v, &attribute.ty)
            .map(|v| (name.clone(), v))
            .map_err(|e| e.within(format_args!("attribute {name:?}"))),
        None if attribute.optional => Ok((name.clone(), Value::new(Data::Null(attribute.ty.clone())))),
        None => Err(ConvertError(format!("attribute {name:?} is required"))),
    };
    attributes.iter().map(each).collect::<Result<_, _>>().map(Data::Object)
}

/// A set of already converted members: sorted, without repetitions.
pub fn set(of: Type, items: Vec<Value>) -> Data {
    let mut keyed: Vec<(String, Value)> = items.into_iter().map(|v| (sort_key(&v), v)).collect();
    keyed.sort_by(|a, b| compare_members(&a.1, &b.1).then_with(|| a.0.cmp(&b.0)));
    keyed.dedup_by(|a, b| a.1.data == b.1.data);
    Data::Set(of, keyed.into_iter().map(|(_, v)| v).collect())
}

fn compare_members(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (&a.data, &b.data) {
        (Data::Number(a), Data::Number(b)) => a.cmp(b),
        (Data::String(a), Data::String(b)) => a.cmp(b),
        (Data::Bool(a), Data::Bool(b)) => a.cmp(b),
        _ => std::cmp::Ordering::Equal,
    }
}

fn sort_key(value: &Value) -> String {
    format!("{:?}", Value::new(value.data.clone()))
}

/// The type that values of all these types can be converted to, as `[…]` in a list context or the arms of a
/// conditional need it; `None` when there is none.
pub fn unify(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    types.into_iter().try_fold(Type::Any, |a, b| unify_two(&a, &b))
}

fn unify_two(a: &Type, b: &Type) -> Option<Type> {
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Type::Any, t) | (t, Type::Any) => t.clone(),
        (Type::String, t) | (t, Type::String) if t.is_primitive() => Type::String,
        (Type::List(x), Type::List(y)) => Type::list(unify_two(x, y)?),
        (Type::Set(x), Type::Set(y)) => Type::set(unify_two(x, y)?),
        (Type::Map(x), Type::Map(y)) => Type::map(unify_two(x, y)?),
        (Type::Tuple(x), Type::Tuple(y)) if x.len() == y.len() => {
            Type::Tuple(x.iter().zip(y).map(|(x, y)| unify_two(x, y)).collect::<Option<_>>()?)
        }
        (Type::Tuple(x), Type::Tuple(y)) => Type::list(unify(x.iter().chain(y).cloned())?),
        (Type::List(x), Type::Tuple(y)) | (Type::Tuple(y), Type::List(x)) => {
            Type::list(unify(std::iter::once(&**x).chain(y).cloned())?)
        }
        (Type::Object(x), Type::Object(y)) if x.keys().eq(y.keys()) => Type::Object(
            x.iter()
                .zip(y.values())
                .map(|((k, x), y)| Some((k.clone(), ObjectAttribute::required(unify_two(&x.ty, &y.ty)?))))
                .collect::<Option<_>>()?,
        ),
        (Type::Object(x), Type::Object(y)) => {
            Type::map(unify(x.values().chain(y.values()).map(|a| a.ty.clone()))?)
        }
        (Type::Map(x), Type::Object(y)) | (Type::Object(y), Type::Map(x)) => {
            Type::map(unify(std::iter::once((**x).clone()).chain(y.values().map(|a| a.ty.clone())))?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_convert_as_hcl_does() {
        let ok = [
            (Value::from("5"), Type::Number, Value::from(5)),
            (Value::from(5), Type::String, Value::from("5")),
            (Value::from("true"), Type::Bool, Value::from(true)),
            (Value::from(false), Type::String, Value::from("false")),
        ];
        for (from, ty, to) in ok {
            assert_eq!(convert(&from, &ty), Ok(to), "{from:?} to {ty}");
        }
        let err = |v: Value, t: Type| convert(&v, &t).unwrap_err().0;
        assert_eq!(err(Value::from("x"), Type::Number), "a number is required");
        assert_eq!(err(Value::from(true), Type::Number), "a number is required");
        assert_eq!(err(Value::from("a"), Type::list(Type::String)), "list of string is required");
    }

    #[test]
    fn a_mixed_tuple_becomes_a_list_of_strings() {
        let tuple = Value::tuple(vec![Value::from("a"), Value::from(1)]);
        let list = convert(&tuple, &Type::list(Type::Any)).unwrap();
        assert_eq!(list, Value::list(Type::String, vec!["a".into(), "1".into()]));
    }

    #[test]
    fn a_set_is_sorted_and_has_no_repetitions() {
        let tuple = Value::tuple(vec![Value::from(10), Value::from(9), Value::from(10)]);
        let set = convert(&tuple, &Type::set(Type::Number)).unwrap();
        assert_eq!(set.as_items().unwrap(), [Value::from(9), Value::from(10)]);
    }

    #[test]
    fn a_missing_optional_attribute_becomes_null() {
        let ty = Type::Object(BTreeMap::from([(
            "a".to_owned(),
            ObjectAttribute { ty: Type::String, optional: true },
        )]));
        let object = convert(&Value::object([]), &ty).unwrap();
        assert!(object.as_entries().unwrap()["a"].is_null());
    }

    #[test]
    fn absurd_exponents_are_no_numbers() {
        assert!(convert(&Value::from("1e999999999"), &Type::Number).is_err());
        assert!(convert(&Value::from("1e10"), &Type::Number).is_ok());
    }
}
