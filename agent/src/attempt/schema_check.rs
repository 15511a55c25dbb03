//! A config against its component's schema: names that don't exist, names that are missing. Types are
//! the component's own affair when it decodes its options.

use kiln_lang::diagnostic::nearest;
use kiln_lang::{Diagnostic, Diagnostics, Span, Value};
use kiln_plan::build::Dialect;
use kiln_plan::schema::OptionType;
use kiln_plan::{BodyItem, ConfigBody, Leaf, OptionSchema};

/// What Packer's core adds to every config by itself; components must not mind.
const CORE_PREFIX: &str = "packer_";

/// Checks a body and everything in it.
pub(super) fn check(body: &ConfigBody, options: &[OptionSchema], dialect: Dialect) -> Diagnostics {
    let mut found = Diagnostics::new();
    let checker = Checker { dialect };
    checker.body(body, options, &mut found);
    found
}

#[derive(Clone, Copy)]
struct Checker {
    dialect: Dialect,
}

impl Checker {
    fn body(self, body: &ConfigBody, options: &[OptionSchema], found: &mut Diagnostics) {
        for item in &body.items {
            let Some(option) = self.known(item.name(), options, item.span(), found) else { continue };
            let Some(inner) = nested(option) else { continue };
            match item {
                BodyItem::Block { body, .. } => self.body(body, inner, found),
                BodyItem::Attribute { leaf: Leaf::Value(value), span, .. } => {
                    self.value(value, inner, span.as_ref(), found);
                }
                BodyItem::Attribute { .. } => {}
            }
        }
        let given = |name: &str| body.items.iter().any(|item| same(item.name(), name) && !is_null(item));
        self.required(options, given, None, found);
    }

    /// A nested block written as an object, or several as a list of objects.
    fn value(self, value: &Value, options: &[OptionSchema], span: Option<&Span>, found: &mut Diagnostics) {
        let objects = value.as_items().unwrap_or(std::slice::from_ref(value));
        for entries in objects.iter().filter_map(Value::as_entries) {
            for (name, value) in entries {
                let option = self.known(name, options, span, found);
                if let Some(inner) = option.and_then(nested) {
                    self.value(value, inner, span, found);
                }
            }
            let given = |name: &str| entries.iter().any(|(n, v)| same(n, name) && !v.is_null());
            self.required(options, given, span, found);
        }
    }

    fn known<'o>(
        self,
        name: &str,
        options: &'o [OptionSchema],
        span: Option<&Span>,
        found: &mut Diagnostics,
    ) -> Option<&'o OptionSchema> {
        let option = options.iter().find(|o| same(&o.name, name));
        match option {
            // What is out of date has been told when the template was evaluated.
            Some(_) => {}
            None if name.starts_with(CORE_PREFIX) => {}
            None => found.push(self.unsupported(name, options).at(span.cloned())),
        }
        option
    }

    fn required(
        self,
        options: &[OptionSchema],
        given: impl Fn(&str) -> bool,
        span: Option<&Span>,
        found: &mut Diagnostics,
    ) {
        for option in options.iter().filter(|o| o.required && !given(&o.name)) {
            let detail = format!("The argument {:?} is required, but no definition was found.", option.name);
            let diagnostic = Diagnostic::error("Missing required argument", detail).at(span.cloned());
            found.push(diagnostic.hint(format!("{}: {}", option.name, option.help)));
        }
    }

    fn unsupported(self, name: &str, options: &[OptionSchema]) -> Diagnostic {
        let diagnostic = match self.dialect {
            Dialect::Hcl2 => Diagnostic::error(
                "Unsupported argument",
                format!("An argument named {name:?} is not expected here."),
            ),
            Dialect::LegacyJson => Diagnostic::error(
                format!("unknown configuration key: '{name:?}'"),
                format!("The key {name:?} is not expected here."),
            ),
        };
        match nearest(name, options.iter().map(|o| &*o.name)) {
            Some(similar) => diagnostic.hint(format!("did you mean {similar:?}?")),
            None => diagnostic,
        }
    }
}

/// Names match as decoding matches them: without regard to case.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn is_null(item: &BodyItem) -> bool {
    matches!(item, BodyItem::Attribute { leaf: Leaf::Value(value), .. } if value.is_null())
}

fn nested(option: &OptionSchema) -> Option<&[OptionSchema]> {
    match &option.ty {
        OptionType::Block(inner) | OptionType::Blocks(inner) => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Vec<OptionSchema> {
        let inner = vec![
            OptionSchema::new("model", OptionType::String, "Which model").required(),
            OptionSchema::new("speed", OptionType::Integer, "How fast"),
        ];
        vec![
            OptionSchema::new("target", OptionType::String, "Where").required(),
            OptionSchema::new("old", OptionType::String, "Was").deprecated("target"),
            OptionSchema::new("adapter", OptionType::Blocks(inner), "Adapters"),
        ]
    }

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::object(entries.iter().map(|(n, v)| ((*n).to_owned(), v.clone())))
    }

    fn check_of(items: &[(&str, Value)], dialect: Dialect) -> Vec<String> {
        let mut body = ConfigBody::default();
        for (name, value) in items {
            body.set(name, value.clone());
        }
        let found = check(&body, &options(), dialect);
        found.iter().map(|d| format!("{}; {}", d.summary, d.hint.as_deref().unwrap_or(""))).collect()
    }

    #[test]
    fn names_are_held_against_the_schema() {
        type Given<'a> = &'a [(&'a str, Value)];
        let target = ("target", Value::from("x"));
        let cases: [(Given<'_>, &[&str]); 6] = [
            (std::slice::from_ref(&target), &[]),
            (&[], &["Missing required argument; target: Where"]),
            (&[("target", Value::null())], &["Missing required argument; target: Where"]),
            (&[target.clone(), ("old", Value::from("y"))], &[]),
            (
                &[target.clone(), ("packer_debug", Value::from(true)), ("taget", Value::from(1))],
                &["Unsupported argument; did you mean \"target\"?"],
            ),
            (
                &[
                    target.clone(),
                    ("adapter", Value::tuple(vec![object(&[("sped", Value::from(1))]), object(&[])])),
                ],
                &[
                    "Unsupported argument; did you mean \"speed\"?",
                    "Missing required argument; model: Which model",
                    "Missing required argument; model: Which model",
                ],
            ),
        ];
        for (items, expected) in cases {
            assert_eq!(check_of(items, Dialect::Hcl2), expected, "{items:?}");
        }
        let legacy = check_of(&[target, ("nonsense", Value::null())], Dialect::LegacyJson);
        assert_eq!(legacy, ["unknown configuration key: '\"nonsense\"'; "]);
    }
}
