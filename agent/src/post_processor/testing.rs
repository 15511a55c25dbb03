//! A bench for one post-processor: made from its options by its true factory, run on files in a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::factory::Make;
use kiln_component::reporter::EventSink;
use kiln_component::{FinishedConfig, GeneratedData, Journal, Processed, Reporter, TaskContext};
use kiln_lang::Value;
use kiln_plan::{ComponentKind, EventKind, Failure, Redactor};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::Factories;
use crate::artifact::FilesArtifact;
use crate::test_plan::plan;

#[derive(Debug)]
struct Deaf;

#[async_trait]
impl EventSink for Deaf {
    fn send(&self, _: EventKind) {}

    async fn ask(&self, _: &str) -> Option<String> {
        None
    }
}

pub(super) struct Bench {
    root: TempDir,
    name: &'static str,
    pub(super) options: Vec<(String, Value)>,
    pub(super) cx: TaskContext,
}

impl Bench {
    pub(super) fn new(name: &'static str, options: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = options.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect();
        let cx = TaskContext {
            plan: Arc::new(plan("file")),
            reporter: Reporter::new(Arc::new(Deaf), Arc::new(Redactor::default())),
            cancel: CancellationToken::new(),
            scratch: root.path().join("scratch"),
            journal: Journal::in_memory(),
            working_dir: root.path().to_owned(),
            cache_dir: root.path().join("cache"),
            origins: kiln_component::Origins::default(),
        };
        Self { root, name, options, cx }
    }

    pub(super) fn directory(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn run_uuid(&mut self, uuid: &str) {
        Arc::make_mut(&mut self.cx.plan).facts.run_uuid = uuid.to_owned();
    }

    pub(super) fn force(&mut self, force: bool) {
        Arc::make_mut(&mut self.cx.plan).options.force = force;
    }

    /// Runs it on an artifact of these files.
    pub(super) async fn process(&self, files: &[&str]) -> Result<Processed, Failure> {
        let config = FinishedConfig {
            options: Value::object(self.options.clone()),
            plan: self.cx.plan.clone(),
            dry: false,
            generated: GeneratedData::default(),
        };
        let factories = Factories::builtin();
        let factory = factories.get(ComponentKind::PostProcessor, self.name).unwrap();
        let Make::PostProcessor(make) = factory.make else { panic!("{factory:?}") };
        let (post_processor, _) = make(config).unwrap_or_else(|found| panic!("{found:?}"));
        let input = FilesArtifact {
            builder_id: "packer.file",
            id: "File",
            description: String::new(),
            files: files.iter().map(|f| self.path(f)).collect(),
            generated: GeneratedData::default(),
            facts: ArtifactFacts::default(),
        };
        post_processor.process(&self.cx, Arc::new(input)).await
    }
}
