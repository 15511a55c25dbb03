//! Options of a component: which become arguments and which blocks, and values that JSON takes weakly but HCL2
//! doesn't.
//!
//! With a schema it decides. Without one the shape does, as in Packer: an object with anything but plain
//! values in it is a block, a list of objects is one block each, an empty list is nothing.

use kiln_lang::convert::number_text;
use kiln_lang::duration::{SignedDuration, in_go_syntax};
use kiln_lang::value::{Data, Value};
use kiln_lang::{Span, decode};
use kiln_plan::schema::OptionType;
use kiln_plan::{BodyItem, ConfigBody, Leaf, OptionSchema};

use super::output::{Block, Expression, Item, Part, key};
use super::text::{Place, Translator};
use crate::template::shape::is_identifier;

/// Options that are blocks although all that stands in them is plain.
const BLOCKS: [&str; 3] = ["linux_options", "network_interface", "shared_image_gallery"];

/// The options that a component takes, if they are known.
type Schema<'s> = Option<&'s [OptionSchema]>;

/// One option on its way.
#[derive(Clone, Copy, Debug)]
struct Given<'a> {
    name: &'a str,
    value: &'a Value,
    span: Option<&'a Span>,
}

/// The options of a component, sorted by name.
pub(super) fn items(
    translator: &mut Translator<'_>,
    config: &ConfigBody,
    schema: Schema<'_>,
    place: Place<'_>,
) -> Vec<Item> {
    let mut items = Vec::new();
    for item in &config.items {
        if let BodyItem::Attribute { name, leaf: Leaf::Value(value), span } = item {
            let given = Given { name, value, span: span.as_ref() };
            items.extend(option(translator, given, schema, place));
        }
    }
    items.sort_by(|a, b| a.name().cmp(b.name()));
    items
}

/// The options of a component as one object, for `override`.
pub(super) fn object(
    translator: &mut Translator<'_>,
    config: &ConfigBody,
    schema: Schema<'_>,
    place: Place<'_>,
) -> Expression {
    let mut entries = Vec::new();
    for item in &config.items {
        if let BodyItem::Attribute { name, leaf: Leaf::Value(value), span } = item {
            let found = find(schema, name);
            let name = found.map_or(name.as_str(), |option| &option.name);
            let value = match found {
                Some(option) => typed(translator, value, &option.ty, place),
                None => generic(translator, value, (place, span.as_ref())),
            };
            entries.push((key(name), value));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Expression::Object(entries)
}

fn find<'s>(schema: Schema<'s>, name: &str) -> Option<&'s OptionSchema> {
    let options = schema?;
    let exact = options.iter().find(|option| option.name == name);
    exact.or_else(|| options.iter().find(|option| option.name.eq_ignore_ascii_case(name)))
}

fn option(
    translator: &mut Translator<'_>,
    given: Given<'_>,
    schema: Schema<'_>,
    place: Place<'_>,
) -> Vec<Item> {
    let found = find(schema, given.name);
    let name = found.map_or(given.name, |option| &option.name);
    if !is_identifier(name) {
        let detail = format!("HCL2 has no way to write an option of the name {name:?}; it is left out.");
        translator.warn("Option left out", detail, given.span);
        return Vec::new();
    }
    let given = Given { name, ..given };
    match found.map(|option| &option.ty) {
        Some(OptionType::Block(inner) | OptionType::Blocks(inner)) => {
            blocks(translator, given, Some(inner), place)
        }
        Some(ty) => vec![Item::attribute(name, typed(translator, given.value, ty, place))],
        None => by_shape(translator, given, place),
    }
}

fn by_shape(translator: &mut Translator<'_>, given: Given<'_>, place: Place<'_>) -> Vec<Item> {
    let plain = |value: &Value| !matches!(value.data, Data::Object(_) | Data::Tuple(_));
    let is_object = |value: &Value| matches!(value.data, Data::Object(_));
    let is_blocks = match &given.value.data {
        Data::Object(entries) => BLOCKS.contains(&given.name) || !entries.values().all(plain),
        Data::Tuple(items) if items.is_empty() => return Vec::new(),
        Data::Tuple(items) => items.iter().all(is_object),
        _ => false,
    };
    match is_blocks {
        true => blocks(translator, given, None, place),
        false => {
            let value = generic(translator, given.value, (place, given.span));
            vec![Item::attribute(given.name, value)]
        }
    }
}

fn blocks(
    translator: &mut Translator<'_>,
    given: Given<'_>,
    schema: Schema<'_>,
    place: Place<'_>,
) -> Vec<Item> {
    match &given.value.data {
        Data::Object(entries) => {
            let mut body = Vec::new();
            for (name, value) in entries {
                let inner = Given { name, value, span: given.span };
                body.extend(option(translator, inner, schema, place));
            }
            body.sort_by(|a, b| a.name().cmp(b.name()));
            vec![Item::Block(Block::new(given.name, body))]
        }
        Data::Tuple(items) => {
            let one = |value| blocks(translator, Given { value, ..given }, schema, place);
            items.iter().flat_map(one).collect()
        }
        Data::Null(_) => Vec::new(),
        _ => vec![Item::attribute(given.name, generic(translator, given.value, (place, given.span)))],
    }
}

/// A value as it is.
fn generic(
    translator: &mut Translator<'_>,
    value: &Value,
    (place, span): (Place<'_>, Option<&Span>),
) -> Expression {
    match &value.data {
        Data::String(text) => translator.text(text, place, span),
        Data::Number(number) => Expression::Code(number_text(number)),
        Data::Bool(b) => Expression::Code(b.to_string()),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            Expression::List(items.iter().map(|item| generic(translator, item, (place, span))).collect())
        }
        Data::Map(_, entries) | Data::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| {
                let written = match name.contains("{{") {
                    true => match translator.text(name, place, span) {
                        Expression::Code(code) => Expression::Text(vec![Part::Code(code)]).code(),
                        text => text.code(),
                    },
                    false => key(name),
                };
                (written, generic(translator, value, (place, span)))
            };
            Expression::Object(entries.iter().map(entry).collect())
        }
        Data::Null(_) | Data::Unknown(_) => Expression::Code("null".to_owned()),
    }
}

/// A value for an option of a known type: what JSON takes weakly is made explicit.
fn typed(translator: &mut Translator<'_>, value: &Value, ty: &OptionType, place: Place<'_>) -> Expression {
    let with_actions = value.as_str().is_some_and(|text| text.contains("{{"));
    match (ty, &value.data) {
        (OptionType::Strings | OptionType::Integers, Data::String(text)) if with_actions => {
            match translator.text(text, place, None) {
                // What the component itself renders is one element.
                Expression::Text(parts) if parts.iter().all(|p| matches!(p, Part::Text(_))) => {
                    Expression::List(vec![Expression::Text(parts)])
                }
                expression => Expression::Code(format!("split(\",\", {})", expression.code())),
            }
        }
        (OptionType::Strings | OptionType::Integers, Data::String(text)) => {
            let parts = text.split(',').filter(|_| !text.is_empty());
            Expression::List(parts.map(Expression::text).collect())
        }
        (OptionType::Strings | OptionType::Integers, Data::Number(_) | Data::Bool(_)) => {
            Expression::List(vec![generic(translator, value, (place, None))])
        }
        (OptionType::Bool | OptionType::Integer, Data::String(_) | Data::Number(_) | Data::Bool(_))
            if !with_actions =>
        {
            Expression::Code(
                weak(value, ty).unwrap_or_else(|| generic(translator, value, (place, None)).code()),
            )
        }
        (OptionType::Trilean, Data::String(text)) if text.is_empty() => Expression::Code("null".to_owned()),
        (OptionType::Trilean, Data::String(_) | Data::Number(_)) if !with_actions => {
            let decoded = weak(value, &OptionType::Bool);
            Expression::Code(decoded.unwrap_or_else(|| generic(translator, value, (place, None)).code()))
        }
        (OptionType::Duration, Data::Number(_)) => match decode::decode::<SignedDuration>(value) {
            Ok(duration) => Expression::text(&duration_text(duration)),
            Err(_) => generic(translator, value, (place, None)),
        },
        _ => generic(translator, value, (place, None)),
    }
}

/// A primitive as the component will read it; nothing when it can't.
fn weak(value: &Value, ty: &OptionType) -> Option<String> {
    match ty {
        OptionType::Bool => decode::decode::<bool>(value).ok().map(|b| b.to_string()),
        _ => decode::decode::<i64>(value).ok().map(|n| n.to_string()),
    }
}

/// A duration in Go's syntax.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let positive = SignedDuration { nanoseconds: duration.nanoseconds.saturating_abs() };
    format!("{sign}{}", in_go_syntax(positive.max_zero()))
}

/// The number that a text stands for as an expression, or the text.
pub(super) fn number_or_text(translator: &mut Translator<'_>, text: &str) -> Expression {
    match text.trim().parse::<u32>() {
        Ok(number) => Expression::Code(number.to_string()),
        Err(_) => match translator.text(text, Place::Local, None) {
            Expression::Code(code) => Expression::Code(code),
            text => Expression::Code(text.code()),
        },
    }
}

/// Whether an option is given as an object.
pub(super) fn is_object(value: &Value) -> bool {
    matches!(value.data, Data::Object(_))
}
