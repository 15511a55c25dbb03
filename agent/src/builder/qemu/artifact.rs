//! What the builder yields: the directory with the guest's disks.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::{Artifact, GeneratedData};
use kiln_plan::{Failure, Fault};

use super::config::Config;
use crate::capability::accelerator::Accelerator;

/// What templates and other tools compare.
pub const BUILDER_ID: &str = "transcend.qemu";

/// The copy of the UEFI variables in the output directory.
pub const EFI_VARS: &str = "efivars.fd";

/// The finished guest.
#[derive(Clone, Debug)]
pub struct QemuArtifact {
    directory: PathBuf,
    shown: String,
    files: Vec<PathBuf>,
    generated: GeneratedData,
    facts: ArtifactFacts,
}

impl QemuArtifact {
    /// What lies in the output directory now.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn gather(
        config: &Config,
        accelerator: Accelerator,
        generated: GeneratedData,
    ) -> Result<Self, Failure> {
        let directory = config.output_path();
        let mut files = Vec::new();
        walk(&directory, &mut files).map_err(|error| {
            let text = format!("cannot list the output directory {}: {error}", directory.display());
            Failure::new(Fault::Machine, text)
        })?;
        if config.firmware.efi.as_ref().is_some_and(|efi| efi.drop_vars) {
            files.retain(|file| *file != directory.join(EFI_VARS));
        }
        let facts = ArtifactFacts {
            disk_format: Some(config.disks.format.clone()),
            disks: config.disk_paths(),
            disk_size: Some(config.disks.size.clone()),
            accelerator: Some(accelerator.to_string()),
        };
        let shown = config.output_directory.display().to_string();
        Ok(Self { directory, shown, files, generated, facts })
    }
}

/// Every regular file below, in the order of names.
fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[async_trait]
impl Artifact for QemuArtifact {
    fn builder_id(&self) -> &str {
        BUILDER_ID
    }

    fn id(&self) -> String {
        "VM".to_owned()
    }

    fn description(&self) -> String {
        format!("VM files in directory: {}", self.shown)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn generated(&self) -> GeneratedData {
        self.generated.clone()
    }

    fn facts(&self) -> ArtifactFacts {
        self.facts.clone()
    }

    async fn destroy(&self) -> Result<(), Failure> {
        match tokio::fs::remove_dir_all(&self.directory).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let text = format!("cannot remove the directory {}: {error}", self.directory.display());
                Err(Failure::new(Fault::Machine, text))
            }
            _ => Ok(()),
        }
    }
}
