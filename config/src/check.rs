//! Plans against the catalog: unknown options, missing ones, values of the wrong type, options out of date.
//!
//! HCL2 is strict, as its decoder is: a text is not a list, a block is not an argument. Legacy JSON decodes
//! weakly and matches keys without regard to case. What isn't known before the run passes.

mod fit;
mod former;

use kiln_lang::diagnostic::nearest;
use kiln_lang::value::Data;
use kiln_lang::{Diagnostic, Diagnostics, Span, Value};
use std::borrow::Cow;

use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{BodyItem, Catalog, ComponentConfig, ComponentSchema, ConfigBody, Leaf, OptionSchema};

use crate::fix;

pub(crate) use fit::Texts;

/// What the core itself gives to every component.
const COMMON: [&str; 9] = [
    "packer_build_name",
    "packer_builder_type",
    "packer_core_version",
    "packer_debug",
    "packer_force",
    "packer_on_error",
    "packer_user_variables",
    "packer_sensitive_variables",
    "packer_template_path",
];

/// Checks a component of an HCL2 template. A component that the catalog lacks passes.
pub(crate) fn hcl2(component: &ComponentConfig, catalog: &Catalog) -> Diagnostics {
    check(component, catalog, Dialect::Hcl2)
}

/// Checks a component of a legacy template, in the build of that name.
pub(crate) fn legacy(component: &ComponentConfig, catalog: &Catalog, build: (&str, &Texts)) -> Diagnostics {
    check(component, catalog, Dialect::Legacy { build: build.0, texts: build.1 })
}

fn check(component: &ComponentConfig, catalog: &Catalog, dialect: Dialect<'_>) -> Diagnostics {
    let mut checker = Checker { dialect, component, found: Diagnostics::new() };
    if let Some(schema) = catalog.get(component.kind, &component.name) {
        checker.body(&component.body, &schema.options, component.span.as_ref());
        for rule in &schema.rules {
            checker.rule(rule, schema, component);
        }
    }
    checker.found
}

#[derive(Clone, Copy)]
enum Dialect<'a> {
    Hcl2,
    Legacy { build: &'a str, texts: &'a Texts },
}

struct Checker<'a> {
    dialect: Dialect<'a>,
    component: &'a ComponentConfig,
    found: Diagnostics,
}

impl Checker<'_> {
    fn body(&mut self, body: &ConfigBody, options: &[OptionSchema], owner: Option<&Span>) {
        for item in &body.items {
            let Some(option) = self.option(item.name(), options, item.span(), item_is_block(item)) else {
                continue;
            };
            match item {
                BodyItem::Attribute { leaf: Leaf::Deferred(_), .. } => {}
                BodyItem::Attribute { leaf: Leaf::Value(value), span, .. } => {
                    self.value(option, value, span.as_ref());
                }
                BodyItem::Block { body: inside, span, .. } => match &option.ty {
                    OptionType::Block(inner) | OptionType::Blocks(inner) => {
                        self.body(inside, inner, span.as_ref());
                    }
                    OptionType::Any => {}
                    _ => self.unsupported_block(option, span.as_ref()),
                },
            }
        }
        self.repeated_blocks(body, options);
        let given = |option: &OptionSchema| {
            body.items.iter().any(|item| self.same_name(item.name(), &option.name) && !is_null(item))
        };
        let missing: Vec<_> = options.iter().filter(|o| o.required && !given(o)).collect();
        for option in missing {
            self.missing(option, owner);
        }
    }

    fn rule(&mut self, rule: &Rule, schema: &ComponentSchema, component: &ComponentConfig) {
        let given = |name: &&Cow<'static, str>| {
            let mut items = component.body.items.iter().filter(|item| self.same_name(item.name(), name));
            let ty = schema.option(name).map(|option| &option.ty);
            items.next_back().is_some_and(|item| self.is_given(item, ty))
        };
        let given: Vec<&Cow<'static, str>> = rule.options().iter().filter(given).collect();
        let names = rule.options().join(", ");
        let complaint = match rule {
            Rule::AtMostOne(_) if given.len() > 1 => {
                let given = given.iter().map(|name| &***name).collect::<Vec<_>>().join(" and ");
                Some(("Conflicting arguments", format!("Only one of {names} may be given, not {given}.")))
            }
            Rule::AtLeastOne(_) if given.is_empty() => {
                Some(("Missing required argument", format!("One of {names} must be given.")))
            }
            _ => None,
        };
        if let Some((summary, detail)) = complaint {
            let diagnostic = match self.dialect {
                Dialect::Hcl2 => Diagnostic::error(summary, detail),
                Dialect::Legacy { build, .. } => prepare(build, detail),
            };
            self.found.push(diagnostic.at(component.span.clone()));
        }
    }

    /// Whether an item counts as given: not if it is null, empty, or an unknown collection, which components get as an empty
    /// one.
    fn is_given(&self, item: &BodyItem, ty: Option<&OptionType>) -> bool {
        let BodyItem::Attribute { leaf: Leaf::Value(value), .. } = item else { return true };
        let rendered = match self.dialect {
            Dialect::Legacy { texts, .. } => texts.render(value),
            Dialect::Hcl2 => None,
        };
        let value = rendered.as_ref().unwrap_or(value);
        match &value.data {
            Data::Null(_) => false,
            Data::Unknown(_) => {
                !matches!(ty, Some(OptionType::Strings | OptionType::StringLists | OptionType::StringMap))
            }
            Data::String(text) => !text.is_empty(),
            _ => {
                value.as_items().is_none_or(|items| !items.is_empty())
                    && value.as_entries().is_none_or(|e| !e.is_empty())
            }
        }
    }

    /// The option of that name; a complaint when there is none, a warning when it is out of date.
    fn option<'o>(
        &mut self,
        name: &str,
        options: &'o [OptionSchema],
        span: Option<&Span>,
        is_block: bool,
    ) -> Option<&'o OptionSchema> {
        if COMMON.contains(&name) {
            return None;
        }
        let option = options.iter().find(|o| self.same_name(name, &o.name));
        match option {
            None => self.unknown(name, options, span, is_block),
            Some(option) => {
                if let Some(instead) = &option.deprecated {
                    let detail = format!("The option {name:?} is out of date; write {instead} in its place.");
                    self.found.push(Diagnostic::warning("Deprecated option", detail).at(span.cloned()));
                }
            }
        }
        option
    }

    fn same_name(&self, given: &str, known: &str) -> bool {
        match self.dialect {
            Dialect::Hcl2 => given == known,
            Dialect::Legacy { .. } => given.eq_ignore_ascii_case(known),
        }
    }

    fn unknown(&mut self, name: &str, options: &[OptionSchema], span: Option<&Span>, is_block: bool) {
        let similar = nearest(name, options.iter().map(|o| &*o.name));
        let diagnostic = match (self.dialect, is_block) {
            (Dialect::Legacy { build, .. }, _) if self.outdated(name).is_some() => {
                prepare(build, format!("deprecated configuration key: '{name}'"))
            }
            (Dialect::Legacy { build, .. }, _) => {
                prepare(build, format!("unknown configuration key: '{name:?}'"))
            }
            (Dialect::Hcl2, false) => Diagnostic::error(
                "Unsupported argument",
                format!("An argument named {name:?} is not expected here."),
            ),
            (Dialect::Hcl2, true) => Diagnostic::error(
                "Unsupported block type",
                format!("Blocks of type {name:?} are not expected here."),
            ),
        };
        let diagnostic = diagnostic.at(span.cloned());
        let hint = match (former::instead_of(name), self.outdated(name), similar) {
            (Some(instead), Some(_), _) => {
                Some(format!("write {instead}; `kiln fix` does it for the whole template"))
            }
            (Some(instead), None, _) => Some(format!("write {instead}")),
            (None, Some(rewrite), _) => Some(format!("`kiln fix` rewrites it ({rewrite})")),
            (None, None, similar) => similar.map(|similar| format!("did you mean {similar:?}?")),
        };
        self.found.push(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }

    /// The rewrite of `fix` that takes the option away from this component, if there is one.
    fn outdated(&self, name: &str) -> Option<&'static str> {
        match self.dialect {
            Dialect::Hcl2 => None,
            Dialect::Legacy { .. } => fix::outdated(self.component.kind, &self.component.name, name),
        }
    }

    fn unsupported_block(&mut self, option: &OptionSchema, span: Option<&Span>) {
        let detail = format!(
            "Blocks of type {0:?} are not expected here. Did you mean to define argument {0:?}? If so, use \
             the equals sign to assign it a value.",
            option.name
        );
        self.found.push(Diagnostic::error("Unsupported block type", detail).at(span.cloned()));
    }

    fn repeated_blocks(&mut self, body: &ConfigBody, options: &[OptionSchema]) {
        for option in options.iter().filter(|o| matches!(o.ty, OptionType::Block(_))) {
            let blocks = body.items.iter().filter(|i| item_is_block(i) && i.name() == option.name);
            if let Some(second) = blocks.skip(1).last() {
                let name = &option.name;
                let detail = format!("Only one {name:?} block is allowed.");
                self.found.push(
                    Diagnostic::error(format!("Duplicate {name} block"), detail).at(second.span().cloned()),
                );
            }
        }
    }

    fn missing(&mut self, option: &OptionSchema, owner: Option<&Span>) {
        let name = &option.name;
        let diagnostic = match self.dialect {
            Dialect::Hcl2 => Diagnostic::error(
                "Missing required argument",
                format!("The argument {name:?} is required, but no definition was found."),
            ),
            Dialect::Legacy { build, .. } => prepare(build, format!("{name} must be specified")),
        };
        let diagnostic = diagnostic.at(owner.cloned());
        self.found.push(if option.help.is_empty() {
            diagnostic
        } else {
            diagnostic.hint(format!("{name}: {}", option.help))
        });
    }

    fn value(&mut self, option: &OptionSchema, value: &Value, span: Option<&Span>) {
        match &option.ty {
            OptionType::Block(inner) if self.takes_objects(span) => self.objects(option, inner, value, span),
            OptionType::Blocks(inner) if self.takes_objects(span) => {
                self.objects(option, inner, value, span);
            }
            OptionType::Block(_) | OptionType::Blocks(_) => {
                let detail = format!(
                    "An argument named {0:?} is not expected here. Did you mean to define a block of type \
                     {0:?}?",
                    option.name
                );
                self.found.push(Diagnostic::error("Unsupported argument", detail).at(span.cloned()));
            }
            _ => {
                let fits = match self.dialect {
                    Dialect::Hcl2 => fit::strictly(value, &option.ty),
                    Dialect::Legacy { texts, .. } => fit::weakly(value, &option.ty, texts),
                };
                match fits {
                    Err(reason) => self.wrong_value(option, &reason, span),
                    Ok(known) => self.enumeration(option, known.as_ref(), span),
                }
            }
        }
    }

    /// Whether nested options may be written as objects: in JSON they must be, and in values that `override`
    /// gives they can't be anything else.
    fn takes_objects(&self, span: Option<&Span>) -> bool {
        match self.dialect {
            Dialect::Hcl2 => span.is_none_or(|span| span.file.ends_with(".json")),
            Dialect::Legacy { .. } => true,
        }
    }

    fn objects(&mut self, option: &OptionSchema, inner: &[OptionSchema], value: &Value, span: Option<&Span>) {
        match &value.data {
            Data::Null(_) | Data::Unknown(_) => {}
            Data::Object(entries) | Data::Map(_, entries) => {
                let item = |(name, value): (&String, &Value)| BodyItem::Attribute {
                    name: name.clone(),
                    leaf: Leaf::Value(value.clone()),
                    span: span.cloned(),
                };
                let body = ConfigBody { items: entries.iter().map(item).collect() };
                self.body(&body, inner, span);
            }
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
                if matches!(option.ty, OptionType::Block(_)) && items.len() > 1 {
                    self.wrong_value(option, "a single object is required", span);
                    return;
                }
                for item in items {
                    self.objects(option, inner, item, span);
                }
            }
            _ => self.wrong_value(option, "an object is required", span),
        }
    }

    fn wrong_value(&mut self, option: &OptionSchema, reason: &str, span: Option<&Span>) {
        let name = &option.name;
        let diagnostic = match self.dialect {
            Dialect::Hcl2 => Diagnostic::error(
                "Incorrect attribute value type",
                match reason.ends_with('?') {
                    true => format!("Inappropriate value for attribute {name:?}: {reason}"),
                    false => format!("Inappropriate value for attribute {name:?}: {reason}."),
                },
            ),
            Dialect::Legacy { build, .. } => prepare(build, format!("'{name}': {reason}")),
        };
        self.found.push(diagnostic.at(span.cloned()));
    }

    fn enumeration(&mut self, option: &OptionSchema, value: Option<&Value>, span: Option<&Span>) {
        let Some(value) = value.filter(|v| !option.values.is_empty() && !v.contains_sensitive()) else {
            return;
        };
        let texts = match value.as_items() {
            Some(items) => items.iter().filter_map(Value::as_str).collect(),
            None => value.as_str().into_iter().collect::<Vec<_>>(),
        };
        let strange = |text: &&str| !text.is_empty() && !option.values.iter().any(|v| v == text);
        for text in texts.into_iter().filter(strange) {
            let known = option.values.join(", ");
            let mut reason = format!("{text:?} is not one of {known}");
            if let Some(similar) = nearest(text, option.values.iter().map(|v| &**v)) {
                reason.push_str(&format!("; did you mean {similar:?}?"));
            }
            self.wrong_value(option, &reason, span);
        }
    }
}

fn prepare(build: &str, detail: String) -> Diagnostic {
    Diagnostic::error(format!("Failed to prepare build: {build:?}"), detail)
}

fn item_is_block(item: &BodyItem) -> bool {
    matches!(item, BodyItem::Block { .. })
}

fn is_null(item: &BodyItem) -> bool {
    matches!(item, BodyItem::Attribute { leaf: Leaf::Value(value), .. } if value.is_null())
}
