//! `provisioner "type" { … }`: the arguments that belong to the core. The rest is the component's config.

use kiln_lang::duration::SignedDuration;
use kiln_lang::syntax::{Attribute, Body};
use kiln_lang::value::Data;
use kiln_lang::{Diagnostic, Diagnostics, Span, Value};

use super::argument;
use super::dynamic::Nested;

/// A provisioner of a build.
#[derive(Clone, Debug)]
pub(crate) struct Provisioner<'a> {
    pub(crate) block: Nested<'a>,
    /// Empty when the template gives none; only shown.
    pub(crate) name: String,
    pub(crate) pause_before: SignedDuration,
    pub(crate) timeout: SignedDuration,
    pub(crate) max_retries: u32,
    pub(crate) continue_on_error: bool,
    pub(crate) restriction: Restriction,
    /// Options by source name, and where `override` stands.
    pub(crate) overrides: Option<(Value, Span)>,
}

/// `only` and `except`: exact `type.name`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restriction {
    only: Vec<String>,
    except: Vec<String>,
}

/// The core's arguments of a provisioner.
pub(crate) const META: [&str; 8] =
    ["name", "pause_before", "timeout", "max_retries", "continue_on_error", "only", "except", "override"];

impl Restriction {
    /// Whether the component takes part in a source's build.
    pub(crate) fn allows(&self, source: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|n| n == source);
        if self.only.is_empty() { !named(&self.except) } else { named(&self.only) }
    }

    /// Reads `only` and `except` of a body.
    pub(crate) fn read(block: &Nested<'_>, found: &mut Diagnostics) -> Self {
        let mut list = |name: &str| {
            let attribute = block.body.attribute(name)?;
            found.take(argument::strings(attribute, &block.scope))
        };
        let restriction =
            Self { only: list("only").unwrap_or_default(), except: list("except").unwrap_or_default() };
        if !restriction.only.is_empty() && !restriction.except.is_empty() {
            found.push(
                Diagnostic::error(
                    "only one of 'only' or 'except' may be specified",
                    "The block has both; keep the one that says what is meant.",
                )
                .at(block.header.clone()),
            );
        }
        restriction
    }
}

impl<'a> Provisioner<'a> {
    /// Reads the core's arguments. The block's scope must be that of meta-arguments.
    pub(crate) fn read(block: Nested<'a>, found: &mut Diagnostics) -> Self {
        let mut inner = Diagnostics::new();
        let restriction = Restriction::read(&block, &mut inner);
        let body: &'a Body = block.body;
        let scope = &block.scope;
        let attribute = |name: &str| -> Option<&'a Attribute> { body.attribute(name) };
        let name = attribute("name").and_then(|a| inner.take(argument::string(a, scope)));
        let pause_before = attribute("pause_before").and_then(|a| inner.take(argument::duration(a, scope)));
        let timeout = attribute("timeout").and_then(|a| inner.take(argument::duration(a, scope)));
        let max_retries = attribute("max_retries").and_then(|a| inner.take(argument::count(a, scope)));
        let go_on = attribute("continue_on_error").and_then(|a| inner.take(argument::bool(a, scope)));
        let overrides = attribute("override").and_then(|a| inner.take(read_override(a, &block)));
        let header = block.header_text();
        found.extend(inner.into_iter().map(|d| d.within(header.clone())));
        Self {
            block,
            name: name.unwrap_or_default(),
            pause_before: pause_before.unwrap_or_default(),
            timeout: timeout.unwrap_or_default(),
            max_retries: max_retries.unwrap_or_default(),
            continue_on_error: go_on.flatten().unwrap_or_default(),
            restriction,
            overrides,
        }
    }

    /// The options that `override` has for a source, by the source's bare name.
    pub(crate) fn overrides_for(&self, source_name: &str) -> impl Iterator<Item = (&String, &Value)> {
        let overrides = self.overrides.as_ref().and_then(|(value, _)| value.as_entries());
        overrides.and_then(|o| o.get(source_name)).and_then(Value::as_entries).into_iter().flatten()
    }
}

fn read_override(attribute: &Attribute, block: &Nested<'_>) -> Result<(Value, Span), Diagnostic> {
    let span = attribute.expression.span.clone();
    let value = argument::value(&attribute.expression, &block.scope)?;
    let object = |what: &str, value: &Value| match value.data {
        Data::Object(_) | Data::Map(..) => Ok(()),
        _ => Err(Diagnostic::error(
            format!("provisioner's {what} block must be an HCL object"),
            format!("It is a {}.", value.ty().friendly_name()),
        )
        .at(span.clone())),
    };
    object("override", &value)?;
    for (name, options) in value.as_entries().into_iter().flatten() {
        object(&format!("override.'{name}'"), options)?;
    }
    Ok((value, span))
}
