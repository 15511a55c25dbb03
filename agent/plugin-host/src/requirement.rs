//! What a template or a user wants: a plug-in, and which versions of it will do.

use kiln_plan::{Constraints, PluginSource, Version};

/// A plug-in that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Where it comes from.
    pub source: PluginSource,
    /// Which versions will do: all of these hold. None at all lets any version do.
    pub versions: Vec<Constraints>,
}

impl Requirement {
    /// Whether a version will do. What stands after its dash doesn't count.
    pub fn allows(&self, version: &Version) -> bool {
        let release = version.release();
        self.versions.iter().all(|constraints| constraints.allow(&release))
    }

    /// The constraints as one text, as templates write them; empty when there are none.
    pub fn constraints(&self) -> String {
        let texts: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
    }
}
