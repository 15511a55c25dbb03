//! What is told of an artifact once the component that made it has gone.

use serde::{Deserialize, Serialize};

/// The description of one artifact of a finished task: what the summary, the machine-readable lines and the
/// manifest show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// Which kind of component made it, such as `transcend.qemu`; templates and other tools compare it.
    pub builder_id: String,
    /// Its identifier in the builder's world; `VM` for QEMU, empty for plain files.
    pub id: String,
    /// One sentence for people.
    pub description: String,
    /// Its files with their sizes, in the artifact's order.
    pub files: Vec<ArtifactFile>,
}

/// A file of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// The path as the template would name it (relative stays relative).
    pub path: String,
    /// Bytes; 0 when it could not be read.
    pub size: u64,
    /// `sha256:…` when something computed it.
    pub digest: Option<String>,
}
