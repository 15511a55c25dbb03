//! `packer { required_version, required_plugins }`: the gates before everything else.

use kiln_lang::syntax::{Attribute, Block, Body};
use kiln_lang::{Diagnostic, Diagnostics, Span, Value};
use kiln_plan::plugin::{self, PluginSource};

use super::argument::{constant, literal_string};
use crate::template::shape::{Attributes, BlockShape, Shape};
use crate::version::{Constraints, Version};

/// One entry of `required_plugins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredPlugin {
    /// What the template calls the plugin: the first part of its components' types.
    pub accessor: String,
    /// Where it comes from: host, namespace, name.
    pub source: String,
    /// Which versions will do.
    pub versions: Constraints,
    /// Where it stands.
    pub span: Span,
}

const SHAPE: Shape = Shape {
    attributes: Attributes::Only(&["required_version"]),
    blocks: &[BlockShape { kind: "required_plugins", labels: &[] }],
};

/// Compares every `required_version` with the version this program stands for, without its prerelease.
pub(super) fn check_core_version(bodies: &[Body], core_version: &str, found: &mut Diagnostics) {
    let core = core_version.parse::<Version>();
    let blocks = bodies.iter().flat_map(|body| body.blocks_of("packer"));
    for attribute in blocks.filter_map(|block| block.body.attribute("required_version")) {
        let Some(text) = found.take(literal_string(attribute)) else { continue };
        match (text.parse::<Constraints>(), &core) {
            (Err(error), _) => found.push(
                Diagnostic::error("Invalid version constraint", error.to_string())
                    .at(attribute.expression.span.clone()),
            ),
            (Ok(constraints), Ok(core)) if constraints.allow(&core.release()) => {}
            (Ok(constraints), _) => found.push(
                Diagnostic::error(
                    "Unsupported Packer Core version",
                    format!(
                        "This template asks for version {constraints}; this program stands for Packer \
                         {core_version}."
                    ),
                )
                .at(attribute.expression.span.clone()),
            ),
        }
    }
}

/// Reads one `packer` block.
pub(super) fn read(block: &Block, plugins: &mut Vec<RequiredPlugin>, found: &mut Diagnostics) {
    SHAPE.check(&block.body, found);
    for required in block.body.blocks_of("required_plugins") {
        for attribute in &required.body.attributes {
            let Some(plugin) = found.take(read_plugin(attribute)) else { continue };
            // The same plug-in may be asked for in several blocks; all their constraints hold.
            let clash = |p: &&RequiredPlugin| p.accessor == plugin.accessor && p.source != plugin.source;
            if let Some(first) = plugins.iter().find(clash) {
                let summary = format!("Duplicate required_plugin.{:?} block", plugin.accessor);
                let what = format!("The requirement {:?}", plugin.accessor);
                found.push(super::duplicate(&summary, &what, &plugin.span, &first.span));
            } else {
                plugins.push(plugin);
            }
        }
    }
}

fn read_plugin(attribute: &Attribute) -> Result<RequiredPlugin, Diagnostic> {
    let invalid = |detail: String| {
        Diagnostic::error("Invalid plugin requirement", detail)
            .at(attribute.span.clone())
            .hint(r#"write for example: qemu = { source = "github.com/hashicorp/qemu", version = "~> 1" }"#)
    };
    let value = constant(&attribute.expression)?;
    let entries = value
        .as_entries()
        .ok_or_else(|| invalid("A requirement is an object with 'source' and 'version'.".into()))?;
    if let Some(unknown) = entries.keys().find(|k| !["source", "version"].contains(&k.as_str())) {
        return Err(invalid(format!("A requirement has no attribute {unknown:?}.")));
    }
    let text = |key: &str| {
        entries
            .get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| invalid(format!("A requirement needs the text {key:?}.")))
    };
    let versions: Constraints = text("version")?.parse().map_err(|error| invalid(format!("{error}.")))?;
    if versions.name_prerelease() {
        return Err(invalid("A version constraint of a plugin can't name a prerelease.".into()));
    }
    let source = text("source")?;
    source.parse::<PluginSource>().map_err(|reason| invalid(format!("The source {source:?} {reason}.")))?;
    plugin::check_name(&attribute.name)
        .map_err(|reason| invalid(format!("The name {:?} {reason}.", attribute.name)))?;
    Ok(RequiredPlugin {
        accessor: attribute.name.clone(),
        source: source.to_owned(),
        versions,
        span: attribute.span.clone(),
    })
}
