//! What one component hands to the next.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use kiln_plan::{ArtifactRecord, Failure};

use crate::provisioner::GeneratedData;

/// A result on this machine: files, or something in a service.
#[async_trait]
pub trait Artifact: fmt::Debug + Send + Sync {
    /// Which kind of component made it, such as `transcend.qemu`.
    fn builder_id(&self) -> &str;

    /// Its identifier in its maker's world.
    fn id(&self) -> String;

    /// One sentence for people.
    fn description(&self) -> String;

    /// Its files, absolute, in order.
    fn files(&self) -> Vec<PathBuf>;

    /// What post-processors may ask about it (`build.*`); empty when it tells nothing.
    fn generated(&self) -> GeneratedData {
        GeneratedData::default()
    }

    /// Facts that some post-processors need, such as `diskType`; empty when there are none.
    fn facts(&self) -> ArtifactFacts {
        ArtifactFacts::default()
    }

    /// Removes it for good.
    ///
    /// # Errors
    /// When something of it could not be removed.
    async fn destroy(&self) -> Result<(), Failure>;
}

/// What post-processors for virtual disks want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactFacts {
    /// The disk format: `qcow2`, `raw`.
    pub disk_format: Option<String>,
    /// The disks, absolute, the main one first.
    pub disks: Vec<PathBuf>,
    /// The size of the main disk as the template gave it.
    pub disk_size: Option<String>,
    /// The accelerator it was built with.
    pub accelerator: Option<String>,
}

/// The record of an artifact, with paths shown relative to `working_dir` where they lie inside it.
pub fn record(artifact: &dyn Artifact, working_dir: &std::path::Path) -> ArtifactRecord {
    let file = |path: PathBuf| kiln_plan::artifact::ArtifactFile {
        size: std::fs::metadata(&path).map_or(0, |m| m.len()),
        path: path.strip_prefix(working_dir).unwrap_or(&path).display().to_string(),
        digest: None,
    };
    ArtifactRecord {
        builder_id: artifact.builder_id().to_owned(),
        id: artifact.id(),
        description: artifact.description(),
        files: artifact.files().into_iter().map(file).collect(),
    }
}
