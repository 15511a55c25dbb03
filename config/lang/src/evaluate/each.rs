//! For-expressions.

use std::collections::BTreeMap;

use super::{Evaluator, Names, poison};
use crate::convert::convert;
use crate::span::Span;
use crate::syntax::{Expression, For};
use crate::types::Type;
use crate::value::{Data, Value};

/// What a for-expression gathers.
#[derive(Default)]
struct Gathered {
    items: Vec<Value>,
    entries: BTreeMap<String, Vec<Value>>,
    unknown: bool,
    sensitive: bool,
}

impl Evaluator<'_> {
    pub(super) fn for_each(&mut self, each: &For, span: &Span, names: Option<&Names<'_>>) -> Value {
        let collection = self.value(&each.collection, names);
        let mut gathered = Gathered { sensitive: collection.sensitive, ..Gathered::default() };
        if let Some(condition) = &each.condition
            && !self.condition_can_hold(each, condition, names)
        {
            return poison();
        }
        let Some(items) = self.iterate(&collection, &each.collection) else {
            return poison().marked(gathered.sensitive);
        };
        for (key, item) in items {
            if !self.spend(1, span) {
                return poison();
            }
            let outer = each.key_variable.as_ref().map(|name| Names { name, value: &key, outer: names });
            let inner = Names { name: &each.value_variable, value: &item, outer: outer.as_ref().or(names) };
            self.one(each, &mut gathered, &inner);
        }
        if gathered.unknown {
            return poison().marked(gathered.sensitive);
        }
        let data = if each.key.is_none() {
            Data::Tuple(gathered.items)
        } else if each.group {
            let groups = gathered.entries.into_iter().map(|(key, values)| (key, Value::tuple(values)));
            Data::Object(groups.collect())
        } else {
            let first = |(key, values): (String, Vec<Value>)| Some((key, values.into_iter().next()?));
            Data::Object(gathered.entries.into_iter().filter_map(first).collect())
        };
        Value::new(data).marked(gathered.sensitive)
    }

    /// Looks at the condition with unknown variables, so that a plain mistake in it is told once.
    fn condition_can_hold(&mut self, each: &For, condition: &Expression, names: Option<&Names<'_>>) -> bool {
        let unknown = poison();
        let outer = each.key_variable.as_ref().map(|name| Names { name, value: &unknown, outer: names });
        let inner = Names { name: &each.value_variable, value: &unknown, outer: outer.as_ref().or(names) };
        let before = self.diagnostics.len();
        let value = self.value(condition, Some(&inner));
        if self.diagnostics.len() > before {
            return false;
        }
        if value.is_null() {
            self.error("Condition is null", "The condition of a for must not be null.", &condition.span);
            return false;
        }
        if let Err(error) = convert(&value, &Type::Bool) {
            self.error(
                "Invalid 'for' condition",
                format!("The condition is invalid: {error}."),
                &condition.span,
            );
            return false;
        }
        true
    }

    fn one(&mut self, each: &For, gathered: &mut Gathered, names: &Names<'_>) {
        if let Some(condition) = &each.condition {
            let value = self.value(condition, Some(names));
            gathered.sensitive |= value.sensitive;
            if value.is_null() {
                self.error(
                    "Invalid 'for' condition",
                    "The condition of a for must not be null.",
                    &condition.span,
                );
                gathered.unknown = true;
                return;
            }
            match convert(&value, &Type::Bool).map(|value| value.as_bool()) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return,
                Ok(None) => {
                    gathered.unknown = true;
                    return;
                }
                Err(error) => {
                    let detail = format!("The condition is invalid: {error}.");
                    self.error("Invalid 'for' condition", detail, &condition.span);
                    gathered.unknown = true;
                    return;
                }
            }
        }
        let key = match &each.key {
            Some(expression) => match self.for_key(expression, gathered, names) {
                Some(key) if !self.spend_bytes(key.len(), &expression.span) => return,
                Some(key) => Some((key, expression)),
                None => {
                    gathered.unknown = true;
                    return;
                }
            },
            None => None,
        };
        let value = self.value(&each.value, Some(names));
        let Some((key, expression)) = key else {
            gathered.items.push(value);
            return;
        };
        if !each.group && gathered.entries.contains_key(&key) {
            let shown =
                if gathered.sensitive { "the same key".to_owned() } else { format!("the key {key:?}") };
            let detail = format!("Two items of this for-expression have {shown}.");
            self.error("Duplicate object key", detail, &expression.span);
            if let Some(diagnostic) = self.diagnostics.last_mut() {
                diagnostic.hint = Some("write ... after the value to collect the values of each key".into());
            }
            return;
        }
        gathered.entries.entry(key).or_default().push(value);
    }

    fn for_key(
        &mut self,
        expression: &Expression,
        gathered: &mut Gathered,
        names: &Names<'_>,
    ) -> Option<String> {
        let value = self.value(expression, Some(names));
        gathered.sensitive |= value.sensitive;
        if value.is_null() {
            self.error("Invalid object key", "The key of an item must not be null.", &expression.span);
            return None;
        }
        match convert(&value, &Type::String) {
            Ok(text) => text.as_str().map(str::to_owned),
            Err(error) => {
                self.error("Invalid object key", format!("The key is invalid: {error}."), &expression.span);
                None
            }
        }
    }

    /// Keys and members of a collection in the order of iteration: by index, or by key. The members of a set
    /// are their own keys. None when it is unknown or no collection.
    pub(super) fn iterate(&mut self, value: &Value, at: &Expression) -> Option<Vec<(Value, Value)>> {
        let items = match &value.data {
            Data::Null(_) => {
                self.error("Iteration over null value", "Null has no members to iterate over.", &at.span);
                return None;
            }
            Data::Set(_, items) => items.iter().map(|item| (item.clone(), item.clone())).collect(),
            Data::List(_, items) | Data::Tuple(items) => {
                let numbered = items.iter().zip(0_i64..);
                numbered.map(|(item, i)| (Value::from(i), item.clone())).collect()
            }
            Data::Map(_, entries) | Data::Object(entries) => {
                entries.iter().map(|(key, item)| (Value::from(key.as_str()), item.clone())).collect()
            }
            Data::Unknown(
                Type::Any | Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Object(_) | Type::Tuple(_),
            ) => return None,
            Data::Unknown(_) | Data::Bool(_) | Data::Number(_) | Data::String(_) => {
                let detail = format!("A {} has no members to iterate over.", value.ty().friendly_name());
                self.error("Iteration over non-iterable value", detail, &at.span);
                return None;
            }
        };
        self.spend_copy(value, &at.span).then_some(items)
    }
}
