//! Builders, provisioners and post-processors of a legacy template: the keys that belong to the core are
//! taken out, the rest is the component's config.

use std::collections::HashSet;

use kiln_lang::duration::{self, SignedDuration};
use kiln_lang::{Diagnostic, Diagnostics, Span};
use kiln_plan::{BodyItem, ConfigBody, Leaf};

use super::{Restriction, text, texts, wrong_type};
use crate::json::{Json, JsonData, Member};

/// One entry of `builders`.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    /// As written, not interpolated; the type when none is given.
    pub(crate) name: String,
    /// Where the name stands; the whole builder when it has none.
    pub(crate) name_span: Span,
    pub(crate) kind: String,
    pub(crate) config: ConfigBody,
    pub(crate) span: Span,
}

/// One entry of `provisioners`.
#[derive(Clone, Debug)]
pub(crate) struct Provisioner {
    pub(crate) kind: String,
    pub(crate) config: ConfigBody,
    pub(crate) restriction: Restriction,
    pub(crate) overrides: Vec<Override>,
    pub(crate) pause_before: SignedDuration,
    pub(crate) timeout: SignedDuration,
    /// As written: it may be a template.
    pub(crate) max_retries: String,
    /// Where `max_retries` stands.
    pub(crate) max_retries_span: Option<Span>,
    pub(crate) span: Span,
}

/// Options that replace a provisioner's own in the build of one builder.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    /// The builder's raw name.
    pub(crate) builder: String,
    pub(crate) config: ConfigBody,
    pub(crate) span: Span,
}

/// One member of a sequence in `post-processors`.
#[derive(Clone, Debug)]
pub(crate) struct PostProcessor {
    pub(crate) kind: String,
    /// The type when none is given.
    pub(crate) name: String,
    pub(crate) config: ConfigBody,
    pub(crate) restriction: Restriction,
    pub(crate) keep_input_artifact: Option<bool>,
    pub(crate) span: Span,
}

pub(super) fn read_builders(value: &Json, found: &mut Diagnostics) -> Vec<Builder> {
    let mut builders: Vec<Builder> = Vec::new();
    let mut names = HashSet::new();
    for (i, item) in items("'builders'", value, found).iter().enumerate() {
        let place = format!("builder {}", i + 1);
        let Some(Parts { kind, own, config }) = parts(&place, item, &["name"], found) else { continue };
        let name = own.first().and_then(|m| text(m, found)).filter(|n| !n.is_empty());
        let name = name.unwrap_or_else(|| kind.clone());
        let name_span = own.first().map_or_else(|| item.span.clone(), |m| m.value.span.clone());
        if !names.insert(name.clone()) {
            let detail = format!("{place}: builder with name '{name}' already exists");
            found.push(Diagnostic::error("Invalid template", detail).at(name_span.clone()));
        }
        builders.push(Builder { name, name_span, kind, config, span: item.span.clone() });
    }
    builders
}

pub(super) fn read_provisioners(value: &Json, found: &mut Diagnostics) -> Vec<Provisioner> {
    let items = items("'provisioners'", value, found).iter().enumerate();
    items.filter_map(|(i, item)| read_provisioner(item, &format!("provisioner {}", i + 1), found)).collect()
}

pub(super) fn read_provisioner(item: &Json, place: &str, found: &mut Diagnostics) -> Option<Provisioner> {
    const OWN: [&str; 6] = ["only", "except", "override", "pause_before", "timeout", "max_retries"];
    let Parts { kind, own, config } = parts(place, item, &OWN, found)?;
    let mut provisioner = Provisioner {
        kind,
        config,
        restriction: Restriction::default(),
        overrides: Vec::new(),
        pause_before: SignedDuration::default(),
        timeout: SignedDuration::default(),
        max_retries: String::new(),
        max_retries_span: None,
        span: item.span.clone(),
    };
    for member in own {
        match member.key.as_str() {
            "only" => restrict(&mut provisioner.restriction, member, weak_texts(member, found)),
            "except" => restrict(&mut provisioner.restriction, member, weak_texts(member, found)),
            "override" => provisioner.overrides = read_overrides(place, member, found),
            "pause_before" => provisioner.pause_before = weak_duration(member, found),
            "timeout" => provisioner.timeout = weak_duration(member, found),
            _ => {
                provisioner.max_retries = weak_text(member, found);
                provisioner.max_retries_span = Some(member.value.span.clone());
            }
        }
    }
    Some(provisioner)
}

pub(super) fn read_post_processors(value: &Json, found: &mut Diagnostics) -> Vec<Vec<PostProcessor>> {
    let mut sequences = Vec::new();
    for (i, item) in items("'post-processors'", value, found).iter().enumerate() {
        let members = match &item.data {
            JsonData::Array(members) => members.as_slice(),
            _ => std::slice::from_ref(item),
        };
        let read = |(j, member)| {
            let place = format!("post-processor {}.{}", i + 1, j + 1);
            read_post_processor(&place, member, found)
        };
        sequences.push(members.iter().enumerate().filter_map(read).collect());
    }
    sequences
}

fn read_post_processor(place: &str, item: &Json, found: &mut Diagnostics) -> Option<PostProcessor> {
    const OWN: [&str; 4] = ["name", "only", "except", "keep_input_artifact"];
    let mut post_processor = PostProcessor {
        kind: String::new(),
        name: String::new(),
        config: ConfigBody::default(),
        restriction: Restriction::default(),
        keep_input_artifact: None,
        span: item.span.clone(),
    };
    let mut own = Vec::new();
    if let Some(kind) = item.as_str() {
        kind.clone_into(&mut post_processor.kind);
    } else {
        let parts = parts(place, item, &OWN, found)?;
        post_processor.kind = parts.kind;
        post_processor.config = parts.config;
        own = parts.own;
    }
    for member in own {
        match member.key.as_str() {
            "name" => post_processor.name = text(member, found).unwrap_or_default(),
            "only" | "except" => restrict(&mut post_processor.restriction, member, texts(member, found)),
            _ => post_processor.keep_input_artifact = strict_bool(place, member, found),
        }
    }
    if post_processor.name.is_empty() {
        post_processor.name.clone_from(&post_processor.kind);
    }
    Some(post_processor)
}

/// A component's object: its type, the core's keys, and the config.
struct Parts<'a> {
    kind: String,
    own: Vec<&'a Member>,
    config: ConfigBody,
}

fn parts<'a>(place: &str, item: &'a Json, own_keys: &[&str], found: &mut Diagnostics) -> Option<Parts<'a>> {
    let JsonData::Object(members) = &item.data else {
        found.push(wrong_type(place, "object", item));
        return None;
    };
    let kind = members.iter().find(|m| m.key == "type");
    let kind = kind.and_then(|m| text(m, found)).unwrap_or_default();
    if kind.is_empty() {
        found.push(
            Diagnostic::error("Invalid template", format!("{place}: missing 'type'")).at(item.span.clone()),
        );
        return None;
    }
    let (own, rest): (Vec<_>, Vec<_>) =
        members.iter().filter(|m| m.key != "type").partition(|m| own_keys.contains(&m.key.as_str()));
    Some(Parts { kind, own, config: body(rest) })
}

fn body<'a>(members: impl IntoIterator<Item = &'a Member>) -> ConfigBody {
    let item = |m: &Member| BodyItem::Attribute {
        name: m.key.clone(),
        leaf: Leaf::Value(m.value.to_value()),
        span: Some(m.key_span.to(&m.value.span)),
    };
    ConfigBody { items: members.into_iter().map(item).collect() }
}

fn items<'a>(what: &str, value: &'a Json, found: &mut Diagnostics) -> &'a [Json] {
    match &value.data {
        JsonData::Array(items) => items,
        _ => {
            found.push(wrong_type(what, "array", value));
            &[]
        }
    }
}

fn restrict(restriction: &mut Restriction, member: &Member, names: Vec<String>) {
    restriction.span = Some(member.key_span.to(&member.value.span));
    match member.key.as_str() {
        "only" => restriction.only = names,
        _ => restriction.except = names,
    }
}

fn read_overrides(place: &str, member: &Member, found: &mut Diagnostics) -> Vec<Override> {
    let JsonData::Object(builders) = &member.value.data else {
        found.push(wrong_type(&format!("{place}: 'override'"), "object", &member.value));
        return Vec::new();
    };
    let mut overrides = Vec::new();
    for builder in builders {
        match &builder.value.data {
            JsonData::Object(members) => overrides.push(Override {
                builder: builder.key.clone(),
                config: body(members),
                span: builder.key_span.clone(),
            }),
            _ => found.push(wrong_type(
                &format!("{place}: override '{}'", builder.key),
                "object",
                &builder.value,
            )),
        }
    }
    overrides
}

/// A list of texts, or a single one.
fn weak_texts(member: &Member, found: &mut Diagnostics) -> Vec<String> {
    match member.value.as_str() {
        Some(one) => vec![one.to_owned()],
        None => texts(member, found),
    }
}

/// A text, number or bool as text.
fn weak_text(member: &Member, found: &mut Diagnostics) -> String {
    let value = member.value.to_value();
    kiln_lang::convert::primitive_text(&value).unwrap_or_else(|| {
        found.push(wrong_type(&format!("'{}'", member.key), "string", &member.value));
        String::new()
    })
}

/// A duration such as `"10s"`, or a whole number of nanoseconds.
fn weak_duration(member: &Member, found: &mut Diagnostics) -> SignedDuration {
    let value = member.value.to_value();
    let read = match (&member.value.data, value.as_number()) {
        (JsonData::Null, _) => return SignedDuration::default(),
        (JsonData::String(text), _) => duration::parse(text).map_err(|e| e.to_string()),
        (_, Some(number)) => whole_nanoseconds(number),
        _ => Err(format!("expected a duration, got {}", member.value.kind())),
    };
    read.unwrap_or_else(|reason| {
        let detail = format!("'{}': {reason}", member.key);
        found.push(Diagnostic::error("Invalid duration", detail).at(member.value.span.clone()));
        SignedDuration::default()
    })
}

fn whole_nanoseconds(number: &kiln_lang::value::Number) -> Result<SignedDuration, String> {
    let text = kiln_lang::convert::number_text(number);
    let nanoseconds = text.parse().map_err(|_| format!("{text} is not a whole number of nanoseconds"))?;
    Ok(SignedDuration { nanoseconds })
}

fn strict_bool(place: &str, member: &Member, found: &mut Diagnostics) -> Option<bool> {
    match &member.value.data {
        JsonData::Bool(b) => Some(*b),
        JsonData::Null => None,
        _ => {
            found.push(wrong_type(&format!("{place}: '{}'", member.key), "bool", &member.value));
            None
        }
    }
}

/// Replaces the options that an override names.
pub(crate) fn apply_override(config: &mut ConfigBody, over: &ConfigBody) {
    for item in &over.items {
        config.items.retain(|existing| existing.name() != item.name());
        config.items.push(item.clone());
    }
}

impl Provisioner {
    /// The config for the build of one builder: overrides applied.
    pub(crate) fn config_for(&self, raw_name: &str) -> ConfigBody {
        let mut config = self.config.clone();
        for over in self.overrides.iter().filter(|o| o.builder == raw_name) {
            apply_override(&mut config, &over.config);
        }
        config
    }

    /// How often to try again, rendered by `render`.
    ///
    /// # Errors
    /// What `render` says, or that the result is no whole number.
    pub(crate) fn retries(
        &self,
        render: impl FnOnce(&str) -> Result<String, Diagnostic>,
    ) -> Result<u32, Diagnostic> {
        if self.max_retries.is_empty() {
            return Ok(0);
        }
        let text = render(&self.max_retries)?;
        text.trim().parse().map_err(|_| {
            let detail = format!("max_retries must be a whole number, not {text:?}.");
            Diagnostic::error("Invalid max_retries", detail).at(self.max_retries_span.clone())
        })
    }
}
