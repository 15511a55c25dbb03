//! Type constraints as templates write them: `string`, `list(string)`, `object({a = string, b = optional(number, 5)})`.

use std::collections::BTreeMap;

use crate::convert::convert;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::evaluate::evaluate;
use crate::scope::Scope;
use crate::span::Span;
use crate::syntax::{Call, Expression, ExpressionKind, ObjectItem, ObjectKey};
use crate::types::{ObjectAttribute, Type};
use crate::value::{Data, Value};

const SUMMARY: &str = "Invalid type specification";

/// The defaults of optional attributes, by the place of their object within a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    attributes: BTreeMap<String, Value>,
    children: BTreeMap<Child, Defaults>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    /// Every member of a list, set or map.
    Each,
    /// One attribute of an object.
    Attribute(String),
    /// One element of a tuple.
    Element(usize),
}

impl Defaults {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty()
    }

    /// The value with the defaults in the place of attributes that are absent or null. To be called before
    /// the conversion to the type. A value that is null or unknown itself stays as it is.
    #[must_use]
    pub fn apply(&self, value: &Value) -> Value {
        if self.is_empty() || value.is_null() || !value.is_known() {
            return value.clone();
        }
        let data = match &value.data {
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => Data::Tuple(
                items.iter().enumerate().map(|(i, item)| self.child(&Child::Element(i), item)).collect(),
            ),
            Data::Map(_, entries) | Data::Object(entries) => Data::Object(self.apply_to_entries(entries)),
            other => other.clone(),
        };
        Value { data, sensitive: value.sensitive }
    }

    fn apply_to_entries(&self, entries: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        let each = |(key, value): (&String, &Value)| {
            (key.clone(), self.child(&Child::Attribute(key.clone()), value))
        };
        let mut applied: BTreeMap<String, Value> = entries.iter().map(each).collect();
        for (name, default) in &self.attributes {
            if applied.get(name).is_none_or(Value::is_null) {
                let default = self.child(&Child::Attribute(name.clone()), default);
                applied.insert(name.clone(), default);
            }
        }
        applied
    }

    fn child(&self, child: &Child, value: &Value) -> Value {
        let defaults = self.children.get(child).or_else(|| self.children.get(&Child::Each));
        defaults.map_or_else(|| value.clone(), |defaults| defaults.apply(value))
    }

    fn with_child(mut self, child: Child, defaults: Defaults) -> Self {
        if !defaults.is_empty() {
            self.children.insert(child, defaults);
        }
        self
    }
}

/// Reads a type constraint and the defaults in it.
///
/// # Errors
/// Always one diagnostic, `Invalid type specification` unless a default is at fault.
pub fn parse(expression: &Expression) -> Result<(Type, Defaults), Diagnostics> {
    constraint(expression)
}

fn invalid(detail: impl Into<String>, span: &Span) -> Diagnostic {
    Diagnostic::error(SUMMARY, detail).at(span.clone())
}

fn constraint(expression: &Expression) -> Result<(Type, Defaults), Diagnostics> {
    let span = &expression.span;
    match &expression.kind {
        ExpressionKind::Variable(word) => keyword(word, span).map(|ty| (ty, Defaults::default())),
        ExpressionKind::Call(call) => constructor(call, span),
        ExpressionKind::Literal(Value { data: Data::String(text), .. }) => {
            let detail = format!("A type is written without quotes; found the text {text:?}.");
            Err(invalid(detail, span).hint(format!("write type = {text}")).into())
        }
        _ => Err(invalid(
            "A type is a keyword (string, number, bool, any) or a constructor such as list(string).",
            span,
        )
        .into()),
    }
}

fn keyword(word: &str, span: &Span) -> Result<Type, Diagnostics> {
    let needs = |argument: &str, example: &str| {
        let detail = format!("The type constructor {word} requires one argument: {argument}.");
        Err(invalid(detail, span).hint(format!("write {example}")).into())
    };
    match word {
        "string" => Ok(Type::String),
        "number" => Ok(Type::Number),
        "bool" => Ok(Type::Bool),
        "any" => Ok(Type::Any),
        "list" | "set" | "map" => needs("the type of its members", &format!("{word}(string)")),
        "object" => needs("its attributes", "object({ name = string })"),
        "tuple" => needs("the types of its elements", "tuple([string, number])"),
        "optional" => Err(invalid("Only the attributes of an object can be optional.", span).into()),
        _ => {
            let words = ["string", "number", "bool", "any", "list", "set", "map", "object", "tuple"];
            let mut diagnostic = invalid(format!("There is no type {word:?}."), span);
            diagnostic.hint =
                crate::diagnostic::nearest(word, words).map(|near| format!("did you mean {near}?"));
            Err(diagnostic.into())
        }
    }
}

fn constructor(call: &Call, span: &Span) -> Result<(Type, Defaults), Diagnostics> {
    match call.name.as_str() {
        word @ ("string" | "number" | "bool" | "any") => {
            Err(invalid(format!("The type {word} takes no arguments."), span).into())
        }
        "list" | "set" | "map" | "object" | "tuple" => {
            let [argument] = call.arguments.as_slice() else {
                return keyword(&call.name, span).map(|ty| (ty, Defaults::default()));
            };
            match call.name.as_str() {
                "object" => object(argument),
                "tuple" => tuple(argument),
                word => {
                    let (of, defaults) = constraint(argument)?;
                    let ty = match word {
                        "list" => Type::list(of),
                        "set" => Type::set(of),
                        _ => Type::map(of),
                    };
                    Ok((ty, Defaults::default().with_child(Child::Each, defaults)))
                }
            }
        }
        name => keyword(name, &call.name_span).map(|ty| (ty, Defaults::default())),
    }
}

fn tuple(argument: &Expression) -> Result<(Type, Defaults), Diagnostics> {
    let ExpressionKind::Tuple(items) = &argument.kind else {
        return Err(invalid("A tuple type requires a list of types in brackets.", &argument.span)
            .hint("write tuple([string, number])")
            .into());
    };
    let mut types = Vec::new();
    let mut defaults = Defaults::default();
    for (i, item) in items.iter().enumerate() {
        let (ty, inner) = constraint(item)?;
        types.push(ty);
        defaults = defaults.with_child(Child::Element(i), inner);
    }
    Ok((Type::Tuple(types), defaults))
}

fn object(argument: &Expression) -> Result<(Type, Defaults), Diagnostics> {
    let ExpressionKind::Object(items) = &argument.kind else {
        return Err(invalid("An object type requires its attributes in braces.", &argument.span)
            .hint("write object({ name = string })")
            .into());
    };
    let mut attributes = BTreeMap::new();
    let mut defaults = Defaults::default();
    for ObjectItem { key, value } in items {
        let name = match key {
            ObjectKey::Name { text, .. } => text.clone(),
            ObjectKey::Expression(expression) => match expression.as_literal().and_then(Value::as_str) {
                Some(name) => name.to_owned(),
                None => {
                    return Err(
                        invalid("The name of an attribute must be a plain word.", &expression.span).into()
                    );
                }
            },
        };
        let (attribute, default, inner) = attribute(value)?;
        if let Some(default) = default {
            defaults.attributes.insert(name.clone(), default);
        }
        defaults = defaults.with_child(Child::Attribute(name.clone()), inner);
        attributes.insert(name, attribute);
    }
    Ok((Type::Object(attributes), defaults))
}

/// The type of an attribute, its default, and the defaults within it.
fn attribute(value: &Expression) -> Result<(ObjectAttribute, Option<Value>, Defaults), Diagnostics> {
    let call = match &value.kind {
        ExpressionKind::Call(call) if call.name == "optional" => call,
        _ => {
            let (ty, defaults) = constraint(value)?;
            return Ok((ObjectAttribute { ty, optional: false }, None, defaults));
        }
    };
    let (ty, default) = match call.arguments.as_slice() {
        [ty] => (ty, None),
        [ty, default] => (ty, Some(default)),
        _ => {
            let detail = "optional requires a type, and may have a default as its second argument.";
            return Err(invalid(detail, &value.span).hint("write optional(string, \"default\")").into());
        }
    };
    let (ty, defaults) = constraint(ty)?;
    let default = match default {
        Some(expression) => Some(default_value(expression, &ty)?),
        None => None,
    };
    Ok((ObjectAttribute { ty, optional: true }, default, defaults))
}

fn default_value(expression: &Expression, ty: &Type) -> Result<Value, Diagnostics> {
    let summary = "Invalid default value for optional attribute";
    let value = evaluate(expression, &Scope::literals_only()).map_err(|found| {
        let why = found.iter().next().map_or_else(String::new, |d| d.detail.clone());
        let detail = format!("A default must be a constant. {why}");
        Diagnostics::from(Diagnostic::error(summary, detail).at(expression.span.clone()))
    })?;
    convert(&value, ty).map_err(|error| {
        let detail = format!("The default does not fit the type of its attribute: {error}.");
        Diagnostic::error(summary, detail).at(expression.span.clone()).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::span::SourceFile;

    fn read(text: &str) -> Result<(Type, Defaults), Diagnostics> {
        super::parse(&parse::expression(&SourceFile::new("t", text))?)
    }

    #[test]
    fn constraints_are_read_as_they_are_written() {
        for text in [
            "string",
            "any",
            "list(string)",
            "map(set(number))",
            "tuple([string, bool])",
            "object({a = string, b = optional(list(number))})",
        ] {
            assert_eq!(read(text).map(|(ty, _)| ty.to_string()).unwrap(), text);
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let table = [
            ("strin", 0, "did you mean string?"),
            ("list", 0, "write list(string)"),
            ("list(foo)", 5, ""),
            ("list(string, number)", 0, "write list(string)"),
            ("string(1)", 0, ""),
            ("object(string)", 7, "write object({ name = string })"),
            ("object({a = 5})", 12, ""),
            ("tuple(string)", 6, "write tuple([string, number])"),
            ("optional(string)", 0, ""),
            ("\"string\"", 0, "write type = string"),
            ("object({a = optional()})", 12, "write optional(string, \"default\")"),
        ];
        for (text, at, hint) in table {
            let found = read(text).unwrap_err();
            let first = found.iter().next().unwrap();
            assert_eq!(first.summary, SUMMARY, "{text}");
            assert_eq!(first.span.as_ref().map(|s| s.start), Some(at), "{text}");
            assert_eq!(first.hint.clone().unwrap_or_default(), hint, "{text}");
        }
        for text in ["object({a = optional(number, \"x\")})", "object({a = optional(number, var.x)})"] {
            let found = read(text).unwrap_err();
            let summary = &found.iter().next().unwrap().summary;
            assert_eq!(summary, "Invalid default value for optional attribute");
        }
    }

    #[test]
    fn defaults_fill_what_is_absent_or_null() {
        let ty = "list(object({a = string, b = optional(number, 5), c = optional(object({d = optional(bool, true)}), {})}))";
        let (ty, defaults) = read(ty).unwrap();
        let value = |text: &str| {
            let expression = parse::expression(&SourceFile::new("t", text)).unwrap();
            evaluate(&expression, &Scope::literals_only()).unwrap()
        };
        let filled = |text: &str| format!("{:?}", convert(&defaults.apply(&value(text)), &ty).unwrap());
        assert_eq!(filled("[{a = 1}]"), "[{\"a\": \"1\", \"b\": 5, \"c\": {\"d\": true}}]");
        assert_eq!(
            filled("[{a = 1, b = null, c = {d = false}}]"),
            "[{\"a\": \"1\", \"b\": 5, \"c\": {\"d\": false}}]"
        );
        assert_eq!(filled("null"), "null");
    }
}
