//! `post-processor "type" { … }`: the arguments that belong to the core. The rest is the component's config.

use kiln_lang::Diagnostics;

use super::argument;
use super::dynamic::Nested;
use super::provisioner::Restriction;

/// A post-processor of a build.
#[derive(Clone, Debug)]
pub(crate) struct PostProcessor<'a> {
    pub(crate) block: Nested<'a>,
    /// Empty when the template gives none.
    pub(crate) name: String,
    pub(crate) keep_input_artifact: Option<bool>,
    pub(crate) restriction: Restriction,
}

/// The core's arguments of a post-processor.
pub(crate) const META: [&str; 4] = ["name", "only", "except", "keep_input_artifact"];

impl<'a> PostProcessor<'a> {
    /// Reads the core's arguments. The block's scope must be that of meta-arguments.
    pub(crate) fn read(block: Nested<'a>, found: &mut Diagnostics) -> Self {
        let mut inner = Diagnostics::new();
        let restriction = Restriction::read(&block, &mut inner);
        let scope = &block.scope;
        let name = block.body.attribute("name").and_then(|a| inner.take(argument::string(a, scope)));
        let keep = block.body.attribute("keep_input_artifact");
        let keep_input_artifact = keep.and_then(|a| inner.take(argument::bool(a, scope))).flatten();
        let header = block.header_text();
        found.extend(inner.into_iter().map(|d| d.within(header.clone())));
        Self { block, name: name.unwrap_or_default(), keep_input_artifact, restriction }
    }

    /// The type of the component.
    pub(crate) fn kind(&self) -> &str {
        self.block.label(0)
    }

    /// What `-except` is compared with.
    pub(crate) fn selector(&self) -> &str {
        if self.name.is_empty() { self.kind() } else { &self.name }
    }
}
