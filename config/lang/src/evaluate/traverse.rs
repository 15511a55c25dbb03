//! Steps into values: attributes, indices, splats.

use std::borrow::Cow;

use bigdecimal::{Signed as _, ToPrimitive as _};

use super::{Evaluator, Names, poison};
use crate::convert::convert;
use crate::diagnostic::{Diagnostic, nearest};
use crate::span::Span;
use crate::syntax::{Expression, ExpressionKind, Step};
use crate::types::Type;
use crate::value::{Data, Value};

/// Why a step leads nowhere.
struct NoWay {
    summary: &'static str,
    detail: String,
    hint: Option<String>,
}

impl NoWay {
    fn new(summary: &'static str, detail: impl Into<String>) -> Self {
        Self { summary, detail: detail.into(), hint: None }
    }
}

const INDEX: &str = "Invalid index";
const ATTRIBUTE: &str = "Unsupported attribute";

impl Evaluator<'_> {
    pub(super) fn traversal(
        &mut self,
        root: &Expression,
        steps: &[Step],
        names: Option<&Names<'_>>,
    ) -> Value {
        // The value is walked in place where it has a place, so that only what the steps lead to is copied.
        let start = match &root.kind {
            ExpressionKind::Variable(name) => match self.lookup(name, names) {
                Some(value) => Cow::Borrowed(value),
                None => return self.unknown_variable(name, &root.span, names),
            },
            ExpressionKind::Literal(value) => Cow::Borrowed(value),
            _ => Cow::Owned(self.value(root, names)),
        };
        self.steps(start, steps, &root.span, names)
    }

    fn steps(
        &mut self,
        start: Cow<'_, Value>,
        steps: &[Step],
        root: &Span,
        names: Option<&Names<'_>>,
    ) -> Value {
        let mut value = start;
        let mut sensitive = false;
        for step in steps {
            sensitive |= value.sensitive;
            let next = match step {
                Step::Attribute { name, .. } => into_member(value, |v| attribute(v, name)),
                Step::Index { key, .. } => {
                    let key = self.value(key, names);
                    sensitive |= key.sensitive;
                    into_member(value, |v| index(v, &key))
                }
                Step::Splat { each, span } => Ok(Cow::Owned(self.splat(&value, each, span, names))),
            };
            value = match next {
                Ok(next) => next,
                Err(no_way) => {
                    let diagnostic = Diagnostic::error(no_way.summary, no_way.detail).at(step.span().clone());
                    self.diagnostics.push(Diagnostic { hint: no_way.hint, ..diagnostic });
                    return poison();
                }
            };
        }
        if !self.spend_copy(&value, root) {
            return poison();
        }
        value.into_owned().marked(sensitive)
    }

    fn splat(&mut self, source: &Value, each: &[Step], span: &Span, names: Option<&Names<'_>>) -> Value {
        match &source.data {
            Data::Null(Type::List(_) | Type::Set(_) | Type::Tuple(_)) => self.error(
                "Splat of null value",
                "A splat (the * symbol) can't be applied to a sequence that is null.",
                span,
            ),
            Data::Null(_) => Value::tuple(Vec::new()),
            Data::Unknown(Type::Any) => poison(),
            Data::Unknown(Type::List(of) | Type::Set(of)) => {
                let member = Value::unknown((**of).clone());
                let member = self.steps(Cow::Owned(member), each, span, names);
                Value::unknown(Type::list(member.ty()))
            }
            Data::Unknown(Type::Tuple(types)) => {
                let each_type =
                    |t: &Type| self.steps(Cow::Owned(Value::unknown(t.clone())), each, span, names).ty();
                Value::unknown(Type::Tuple(types.iter().map(each_type).collect()))
            }
            Data::Unknown(_) => {
                self.steps(Cow::Borrowed(source), each, span, names);
                poison()
            }
            Data::List(of, items) | Data::Set(of, items) => self.splat_list(of, items, each, (span, names)),
            Data::Tuple(items) => {
                let items = items.iter().map(|item| self.steps(Cow::Borrowed(item), each, span, names));
                Value::tuple(items.collect())
            }
            _ => Value::tuple(vec![self.steps(Cow::Borrowed(source), each, span, names)]),
        }
    }

    fn splat_list(
        &mut self,
        of: &Type,
        items: &[Value],
        each: &[Step],
        (span, names): (&Span, Option<&Names<'_>>),
    ) -> Value {
        if items.is_empty() {
            let member = self.steps(Cow::Owned(Value::unknown(of.clone())), each, span, names);
            return Value::list(member.ty(), Vec::new());
        }
        let items: Vec<Value> =
            items.iter().map(|item| self.steps(Cow::Borrowed(item), each, span, names)).collect();
        let mut types = items.iter().map(Value::ty).filter(|t| *t != Type::Any);
        let Some(first) = types.next() else { return Value::list(Type::Any, items) };
        if types.all(|t| t == first) {
            return Value::list(first, items);
        }
        self.error(
            "Invalid nested splat expressions",
            "The members of the result have different types, so that they can't form a list. A for-expression \
             can hold them.",
            span,
        )
    }
}

fn into_member<'v>(
    value: Cow<'v, Value>,
    get: impl for<'a> FnOnce(&'a Value) -> Result<Cow<'a, Value>, NoWay>,
) -> Result<Cow<'v, Value>, NoWay> {
    match value {
        Cow::Borrowed(value) => get(value),
        Cow::Owned(value) => get(&value).map(|member| Cow::Owned(member.into_owned())),
    }
}

fn attribute<'v>(value: &'v Value, name: &str) -> Result<Cow<'v, Value>, NoWay> {
    let unknown = |ty: &Type| Ok(Cow::Owned(Value::unknown(ty.clone())));
    match &value.data {
        Data::Null(_) => Err(NoWay::new(
            "Attempt to get attribute from null value",
            "This value is null, so it does not have any attributes.",
        )),
        Data::Object(entries) => {
            entries.get(name).map(Cow::Borrowed).ok_or_else(|| no_attribute(name, entries.keys()))
        }
        Data::Map(_, entries) => entries.get(name).map(Cow::Borrowed).ok_or_else(|| {
            let detail = format!("This map does not have an element with the key {name:?}.");
            let hint =
                nearest(name, entries.keys().map(String::as_str)).map(|n| format!("did you mean {n:?}?"));
            NoWay { hint, ..NoWay::new("Missing map element", detail) }
        }),
        Data::Unknown(Type::Any) => unknown(&Type::Any),
        Data::Unknown(Type::Map(of)) => unknown(of),
        Data::Unknown(Type::Object(attributes)) => match attributes.get(name) {
            Some(attribute) => unknown(&attribute.ty),
            None => Err(no_attribute(name, attributes.keys())),
        },
        _ => Err(not_attributes(&value.ty(), name)),
    }
}

fn no_attribute<'k>(name: &str, known: impl Iterator<Item = &'k String>) -> NoWay {
    let hint = nearest(name, known.map(String::as_str)).map(|near| format!("did you mean {near:?}?"));
    NoWay { hint, ..NoWay::new(ATTRIBUTE, format!("This object does not have an attribute named {name:?}.")) }
}

fn not_attributes(ty: &Type, name: &str) -> NoWay {
    let of_members = |members: &Type| match members {
        Type::Object(attributes) => attributes.contains_key(name),
        _ => false,
    };
    match ty {
        Type::List(of) if matches!(**of, Type::Object(_)) => {
            let mut no_way = NoWay::new(ATTRIBUTE, "A list of objects has no attributes; its members have.");
            if of_members(of) {
                no_way.hint = Some(format!("for one member write [0].{name}, for all members [*].{name}"));
            }
            no_way
        }
        Type::Set(of) if matches!(**of, Type::Object(_)) => {
            let mut no_way = NoWay::new(ATTRIBUTE, "A set of objects has no attributes; its members have.");
            no_way.hint = Some(format!("for all members write [*].{name}"));
            no_way
        }
        ty if ty.is_primitive() => {
            NoWay::new(ATTRIBUTE, format!("A {} has no attributes.", ty.friendly_name()))
        }
        _ => NoWay::new(ATTRIBUTE, "This value does not have any attributes."),
    }
}

fn index<'v>(value: &'v Value, key: &Value) -> Result<Cow<'v, Value>, NoWay> {
    if value.is_null() {
        let detail = "This value is null, so it does not have any indices.";
        return Err(NoWay::new("Attempt to index null value", detail));
    }
    if key.is_null() {
        return Err(NoWay::new(INDEX, "Null can't be an index."));
    }
    if matches!(key.data, Data::Unknown(Type::Any)) || matches!(value.data, Data::Unknown(Type::Any)) {
        return Ok(Cow::Owned(poison()));
    }
    // The whole type of a large value takes long to find, and here it matters little.
    let wanted = match &value.data {
        Data::List(..) | Data::Tuple(_) | Data::Unknown(Type::List(_) | Type::Tuple(_)) => Type::Number,
        Data::Map(..) | Data::Object(_) | Data::Unknown(Type::Map(_) | Type::Object(_)) => Type::String,
        Data::Set(..) | Data::Unknown(Type::Set(_)) => {
            return Err(NoWay::new(INDEX, "The members of a set have no order and no keys to pick one by."));
        }
        _ => {
            let found = value.ty().friendly_name();
            return Err(NoWay::new(INDEX, format!("A {found} does not have any indices.")));
        }
    };
    let converted = convert(key, &wanted)
        .map_err(|error| NoWay::new(INDEX, format!("The index is invalid: {error}.")))?;
    if !converted.is_known() {
        return Ok(Cow::Owned(Value::unknown(match &value.data {
            Data::List(of, _) | Data::Map(of, _) => of.clone(),
            Data::Unknown(Type::List(of) | Type::Map(of)) => (**of).clone(),
            _ => Type::Any,
        })));
    }
    match wanted {
        Type::Number => element(value, &converted),
        _ => keyed(value, &converted),
    }
}

fn element<'v>(value: &'v Value, index: &Value) -> Result<Cow<'v, Value>, NoWay> {
    let Some(number) = index.as_number() else { return Ok(Cow::Owned(poison())) };
    if !number.is_integer() {
        return Err(NoWay::new(INDEX, "An index into a sequence must be a whole number."));
    }
    if number.is_negative() {
        return Err(NoWay::new(INDEX, "An index into a sequence can't be negative."));
    }
    let position = number.to_usize().unwrap_or(usize::MAX);
    let found = match &value.data {
        Data::List(_, items) | Data::Tuple(items) => items.get(position).map(Cow::Borrowed),
        Data::Unknown(Type::List(of)) => Some(Cow::Owned(Value::unknown((**of).clone()))),
        Data::Unknown(Type::Tuple(types)) => {
            types.get(position).map(|ty| Cow::Owned(Value::unknown(ty.clone())))
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let length = value.as_items().map(<[Value]>::len);
        NoWay::new(
            INDEX,
            match length {
                Some(0) => "The collection has no elements.".to_owned(),
                // A sensitive index or collection is not to be told in numbers.
                Some(n) if !index.sensitive && !value.sensitive => {
                    format!("The collection has only {n} elements, counted from 0.")
                }
                _ => "The collection does not have that many elements.".to_owned(),
            },
        )
    })
}

fn keyed<'v>(value: &'v Value, key: &Value) -> Result<Cow<'v, Value>, NoWay> {
    let Some(name) = key.as_str() else { return Ok(Cow::Owned(poison())) };
    let found = match &value.data {
        Data::Map(_, entries) | Data::Object(entries) => entries.get(name).map(Cow::Borrowed),
        Data::Unknown(Type::Map(of)) => Some(Cow::Owned(Value::unknown((**of).clone()))),
        Data::Unknown(Type::Object(attributes)) => {
            attributes.get(name).map(|attribute| Cow::Owned(Value::unknown(attribute.ty.clone())))
        }
        _ => None,
    };
    found.ok_or_else(|| {
        if key.sensitive {
            return NoWay::new(INDEX, "The given key does not identify an element of this collection.");
        }
        let keys = value.as_entries().into_iter().flat_map(|entries| entries.keys());
        let hint = nearest(name, keys.map(String::as_str)).map(|near| format!("did you mean {near:?}?"));
        let detail = format!("The key {name:?} does not identify an element of this collection.");
        NoWay { hint, ..NoWay::new(INDEX, detail) }
    })
}
