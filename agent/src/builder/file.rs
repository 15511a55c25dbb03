//! The builder `file`: makes a file, as the smallest artifact there is, and lets provisioners run over a guest
//! that isn't there. Templates use it to try out post-processors.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::factory::Made;
use kiln_component::journal::Entry;
use kiln_component::{
    Artifact, Builder, Done, Ending, Factory, FinishedConfig, GeneratedData, Intent, Pipeline, ProvisionHook,
    Step, TaskContext, Undo,
};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use crate::artifact::FilesArtifact;
use crate::builder::provision::provision;

pub(crate) mod mock_communicator;

use mock_communicator::MockCommunicator;

/// What templates and other tools compare.
const BUILDER_ID: &str = "packer.file";

/// The builder and its options.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new("target", OptionType::String, "Path of the file to make").required(),
        OptionSchema::new("content", OptionType::String, "What the file holds"),
        OptionSchema::new("source", OptionType::String, "Path of a file to copy, instead of content"),
    ];
    Factory::builder("file", options, &[], make).with_rules([Rule::at_most_one(&["content", "source"])])
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    target: String,
    content: String,
    source: String,
}

fn make(config: FinishedConfig) -> Made<Box<dyn Builder>> {
    let config: Config = config.decode()?;
    let mut found = Diagnostics::new();
    if config.target.is_empty() {
        found.push(Diagnostic::error("target required", "The file builder needs a path in \"target\"."));
    }
    if !config.content.is_empty() && !config.source.is_empty() {
        let detail = "Both a source file and contents were given; there can be only one of them.";
        found.push(Diagnostic::error("content and source exclude each other", detail));
    }
    if config.content.is_empty() && config.source.is_empty() {
        let detail = "Neither a source file nor contents were given; the file will be empty.";
        found.push(Diagnostic::warning("an empty file", detail));
    }
    if found.has_errors() { Err(found) } else { Ok((Box::new(FileBuilder(config)), found)) }
}

#[derive(Debug)]
struct FileBuilder(Config);

#[async_trait]
impl Builder for FileBuilder {
    async fn build(
        &self,
        cx: &TaskContext,
        hook: Arc<dyn ProvisionHook>,
    ) -> Result<Option<Arc<dyn Artifact>>, Failure> {
        let target = cx.resolve(&self.0.target);
        let mut generated = GeneratedData::default();
        generated.set("ID", "File");
        let step = StepMakeFile { config: &self.0, target: target.clone() };
        Pipeline::run(cx, async |pipeline: &mut Pipeline| {
            pipeline.step(&step).await?;
            provision(pipeline, hook, Arc::new(MockCommunicator), generated.clone()).await
        })
        .await?;
        let artifact = FilesArtifact {
            builder_id: BUILDER_ID,
            id: "File",
            description: format!("Stored file: {}", self.0.target),
            files: vec![target],
            generated,
            facts: ArtifactFacts::default(),
        };
        Ok(Some(Arc::new(artifact)))
    }
}

struct StepMakeFile<'a> {
    config: &'a Config,
    target: PathBuf,
}

#[async_trait]
impl Step for StepMakeFile<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "make the file"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let entry = match self.target.exists() {
            // It is replaced, as a file of the user's that was there before; undoing must not remove it.
            true => None,
            false => Some(cx.journal.intend(Intent::file(&self.target))),
        };
        let entry = entry.transpose().map_err(|e| Failure::from_error(Fault::Machine, &e))?;
        let source = (!self.config.source.is_empty()).then(|| cx.resolve(&self.config.source));
        if let Some(source) = &source {
            cx.reporter.say(format!("Copying {} to {}", self.config.source, self.config.target));
            if !source.is_file() {
                let text = format!("cannot copy the file {}: there is no such file", self.config.source);
                return Err(Failure::new(Fault::Template, text));
            }
        }
        let (target, content) = (self.target.clone(), self.config.content.clone());
        let written = tokio::task::spawn_blocking(move || match source {
            Some(source) => copy(&source, &target),
            None => write(&target, content.as_bytes()),
        });
        let written = written.await.map_err(std::io::Error::other).and_then(|result| result);
        match written {
            Ok(()) => Ok(Done::with_undo((), RemoveFile { path: self.target.clone(), entry })),
            Err(error) => {
                let text = format!("cannot make the file {}: {error}", self.config.target);
                Err(Failure::new(Fault::Machine, text))
            }
        }
    }
}

fn copy(source: &Path, target: &Path) -> std::io::Result<()> {
    make_parent(target)?;
    std::io::copy(&mut fs::File::open(source)?, &mut fs::File::create(target)?).map(drop)
}

fn write(target: &Path, content: &[u8]) -> std::io::Result<()> {
    make_parent(target)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(target)?.write_all(content)
}

fn make_parent(target: &Path) -> std::io::Result<()> {
    target.parent().map_or(Ok(()), fs::create_dir_all)
}

struct RemoveFile {
    path: PathBuf,
    /// `None` when the file had been there before.
    entry: Option<Entry>,
}

#[async_trait]
impl Undo for RemoveFile {
    async fn undo(mut self: Box<Self>, cx: &TaskContext, ending: Ending) {
        let Some(entry) = self.entry.take() else { return };
        if ending != Ending::Succeeded
            && let Err(error) = tokio::fs::remove_file(&self.path).await
        {
            cx.reporter.error(format!("cannot remove {}: {error}", self.path.display()));
        }
        entry.clear();
    }
}
