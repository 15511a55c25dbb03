//! Component types that nobody offers: what was perhaps meant, and where the type comes from.

use kiln_lang::diagnostic::nearest;
use kiln_lang::{Diagnostic, Span};
use kiln_plan::ComponentKind;
use kiln_plan::plugin::{PublicPlugin, public};

use super::Inputs;
use crate::template::RequiredPlugin;

/// A component that a template uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) kind: ComponentKind,
    pub(super) name: &'a str,
    /// What the complaint begins with.
    pub(super) summary: &'a str,
    pub(super) span: &'a Span,
}

/// What the template requires, as far as its language can say so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Required<'a> {
    /// The entries of `required_plugins`.
    Hcl2(&'a [RequiredPlugin]),
    /// Legacy JSON has no way to require a plug-in.
    Legacy,
}

/// The complaint about a component that the catalog lacks; nothing without a catalog.
pub(super) fn complaint(
    wanted: Wanted<'_>,
    inputs: Inputs<'_>,
    required: Required<'_>,
) -> Option<Diagnostic> {
    let catalog = inputs.catalog?;
    if catalog.get(wanted.kind, wanted.name).is_some() {
        return None;
    }
    let noun = wanted.kind.noun();
    let diagnostic = |detail: String| Diagnostic::error(wanted.summary, detail).at(wanted.span.clone());
    let nobody = format!("Nobody here offers the {noun} {:?}.", wanted.name);
    let exact = origin(&wanted, required, public::offering(wanted.kind, wanted.name));
    if exact.is_none()
        && let Some(similar) = nearest(wanted.name, catalog.names(wanted.kind))
    {
        return Some(diagnostic(format!("{nobody} Did you mean to use {similar:?}?")));
    }
    let origin = exact.or_else(|| origin(&wanted, required, public::named_like(wanted.name)));
    Some(match origin {
        Some(origin) => {
            let source = origin.source;
            let installed = inputs.host.installed_plugin(source);
            diagnostic(format!("{nobody} It comes with the plug-in {source}.")).hint(how_to_get(
                &origin,
                required,
                installed.as_deref(),
            ))
        }
        None => {
            let mut known: Vec<&str> = catalog.names(wanted.kind).collect();
            known.sort_unstable();
            diagnostic(format!("{nobody} Known: [{}]", known.join(", ")))
        }
    })
}

/// The plug-in that a component comes with.
struct Origin<'a> {
    source: &'a str,
    /// The constraint to put on it, when the template doesn't require it yet.
    versions: Option<&'static str>,
}

/// The plug-in that the template itself calls so goes before what is known of public ones.
fn origin<'a>(
    wanted: &Wanted<'_>,
    required: Required<'a>,
    public: Option<&'static PublicPlugin>,
) -> Option<Origin<'a>> {
    let entries = match required {
        Required::Hcl2(entries) => entries,
        Required::Legacy => &[],
    };
    let of_entry = |entry: &&RequiredPlugin| public::is_of(wanted.name, &entry.accessor);
    let declared = entries.iter().filter(of_entry).max_by_key(|entry| entry.accessor.len());
    match declared {
        Some(entry) => Some(Origin { source: &entry.source, versions: None }),
        None => public.map(|plugin| Origin { source: plugin.source, versions: Some(plugin.versions) }),
    }
}

fn how_to_get(origin: &Origin<'_>, required: Required<'_>, installed: Option<&str>) -> String {
    let source = origin.source;
    if let Some(file) = installed {
        return format!("It is installed ({file}), but this version of Kiln doesn't run external plug-ins.");
    }
    match (required, origin.versions) {
        (Required::Legacy, _) => format!("To install it, run: kiln plugins install {source}"),
        (Required::Hcl2(_), None) => "The template requires it; to install it, run: kiln init".to_owned(),
        (Required::Hcl2(_), Some(versions)) => {
            let name = source.rsplit('/').next().unwrap_or(source);
            format!(
                "To install it, add this to the template and run: kiln init\n\n  packer {{\n    \
                 required_plugins {{\n      {name} = {{\n        source  = {source:?}\n        \
                 version = {versions:?}\n      }}\n    }}\n  }}"
            )
        }
    }
}
