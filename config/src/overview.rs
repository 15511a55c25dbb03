//! What a template declares, as `inspect` shows it: names and texts, secrets already hidden.

/// A template at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overview {
    /// Of an HCL2 template, evaluated.
    Hcl2(Hcl2Overview),
    /// Of a legacy template, as written.
    Legacy(LegacyOverview),
}

/// An HCL2 template at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hcl2Overview {
    /// Variables and their values as `console` shows them, by name; `<unknown>` for one without a value.
    pub variables: Vec<(String, String)>,
    /// Locals that have a value, likewise.
    pub locals: Vec<(String, String)>,
    /// Builds without mistakes in their blocks, in the order of the files.
    pub builds: Vec<BuildOverview>,
}

/// One build of an HCL2 template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildOverview {
    /// Empty when it has none.
    pub name: String,
    /// Empty when it has none.
    pub description: String,
    /// `type.name` of each source that it builds.
    pub sources: Vec<String>,
    /// The type of each provisioner, with its name behind a dot if it has one.
    pub provisioners: Vec<String>,
    /// The same of each post-processor, by sequence.
    pub post_processors: Vec<Vec<String>>,
}

/// A legacy template at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegacyOverview {
    /// Empty when it has none.
    pub description: String,
    /// Variables that must be set, by name.
    pub required: Vec<String>,
    /// Variables and their defaults, by name. A default that is also that of a sensitive variable is hidden.
    pub optional: Vec<(String, String)>,
    /// Names and types, by name; not interpolated.
    pub builders: Vec<(String, String)>,
    /// Types, in order.
    pub provisioners: Vec<String>,
}
