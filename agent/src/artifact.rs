//! Artifacts that are files and nothing else.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::{Artifact, GeneratedData};
use kiln_plan::{Failure, Fault};

/// Some files.
#[derive(Clone, Debug)]
pub struct FilesArtifact {
    /// Which component made it.
    pub builder_id: &'static str,
    /// Its identifier; empty for what post-processors make.
    pub id: &'static str,
    /// One sentence for people.
    pub description: String,
    /// Absolute, in order.
    pub files: Vec<PathBuf>,
    /// What later post-processors may ask about it.
    pub generated: GeneratedData,
    /// What post-processors for disks want to know.
    pub facts: ArtifactFacts,
}

impl FilesArtifact {
    /// Files that were made from `input` and may be asked the same questions.
    pub fn after(input: &dyn Artifact, builder_id: &'static str, files: Vec<PathBuf>) -> Self {
        let (generated, facts) = (input.generated(), input.facts());
        Self { builder_id, id: "", description: String::new(), files, generated, facts }
    }

    /// The same, described as `sentence`.
    #[must_use]
    pub fn described(self, sentence: String) -> Self {
        Self { description: sentence, ..self }
    }
}

#[async_trait]
impl Artifact for FilesArtifact {
    fn builder_id(&self) -> &str {
        self.builder_id
    }

    fn id(&self) -> String {
        self.id.to_owned()
    }

    fn description(&self) -> String {
        self.description.clone()
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
        let mut problem = None;
        for file in &self.files {
            match tokio::fs::remove_file(file).await {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => problem = Some(format!("cannot remove {}: {e}", file.display())),
            }
        }
        problem.map_or(Ok(()), |text| Err(Failure::new(Fault::Machine, text)))
    }
}

/// A path as the template would write it: relative to the working directory where it lies inside.
pub fn shown(path: &Path, working_dir: &Path) -> String {
    path.strip_prefix(working_dir).unwrap_or(path).display().to_string()
}
