mod components;
mod post_processing;
mod provisioning;
mod whole;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kiln_lang::Value;
use kiln_lang::duration::SignedDuration;
use kiln_plan::build::{Dialect, PostProcessorPlan, ProvisionerPlan};
use kiln_plan::{ComponentConfig, ComponentKind, ConfigBody, EventKind, RunOptions};
use tempfile::TempDir;

use super::*;

/// What was said, in order, and what a person will answer.
#[derive(Debug, Default)]
struct Diary {
    lines: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<&'static str>>,
    /// Fired when this is said.
    trap: Mutex<Option<(&'static str, CancellationToken)>>,
}

impl Diary {
    fn note(&self, line: String) {
        if let Some((words, cancel)) = &*self.trap.lock().unwrap()
            && line.contains(words)
        {
            cancel.cancel();
        }
        self.lines.lock().unwrap().push(line);
    }
}

#[async_trait]
impl EventSink for Diary {
    fn send(&self, event: EventKind) {
        let voice = |speaker: Option<String>| speaker.map(|s| format!("({s}) ")).unwrap_or_default();
        match event {
            EventKind::Say { speaker, text } => self.note(format!("{}{text}", voice(speaker))),
            EventKind::Error { speaker, text } => self.note(format!("! {}{text}", voice(speaker))),
            _ => {}
        }
    }

    async fn ask(&self, text: &str) -> Option<String> {
        self.note(format!("? {text}"));
        self.answers.lock().unwrap().pop_front().map(str::to_owned)
    }
}

/// A task in a directory of its own.
struct Trial {
    directory: TempDir,
    plan: BuildPlan,
    diary: Arc<Diary>,
    cancel: CancellationToken,
}

impl Trial {
    /// Builds `original` with the builder `file`.
    fn new() -> Self {
        let builder = component(ComponentKind::Builder, "file", &[("target", "original"), ("content", "x")]);
        Self {
            directory: tempfile::tempdir().unwrap(),
            plan: plan(builder),
            diary: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }

    /// Builds with the builder made for these tests.
    fn probing(options: &[(&str, &str)]) -> Self {
        let builder = component(ComponentKind::Builder, "probe", options);
        Self { plan: plan(builder), ..Self::new() }
    }

    fn provisioner(mut self, options: &[(&str, &str)], adjust: impl FnOnce(&mut ProvisionerPlan)) -> Self {
        let mut provisioner = provisioner(options);
        adjust(&mut provisioner);
        self.plan.provisioners.push(provisioner);
        self
    }

    /// A builder that makes nothing, without communicator.
    fn null() -> Self {
        let builder = component(ComponentKind::Builder, "null", &[("communicator", "none")]);
        Self { plan: plan(builder), ..Self::new() }
    }

    fn error_cleanup(mut self) -> Self {
        self.plan.error_cleanup = Some(provisioner(&[("note", "cleaning")]));
        self
    }

    fn options(mut self, options: RunOptions) -> Self {
        self.plan.options = options;
        self
    }

    /// Cancels the task when these words are said.
    fn cancel_at(self, words: &'static str) -> Self {
        *self.diary.trap.lock().unwrap() = Some((words, self.cancel.clone()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn run(&self) -> TaskOutcome {
        let outcome = self.abandoned().await;
        let left: Vec<_> = std::fs::read_dir(self.path("run"))
            .into_iter()
            .flatten()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(left.iter().all(|name| name == "gate.lock"), "left in the run directory: {left:?}");
        outcome
    }

    /// The same for an attempt that may leave things behind.
    async fn abandoned(&self) -> TaskOutcome {
        let settings = AttemptSettings {
            working_dir: self.directory.path().to_owned(),
            cache_dir: self.path("cache"),
            run_dir: self.path("run"),
            origins: kiln_component::Origins::default(),
            own_process: false,
            cancel: self.cancel.clone(),
        };
        let factories = Arc::new(factories());
        // Spawned as an agent does, which proves that an attempt may move between threads.
        let work = run(Arc::new(self.plan.clone()), factories, settings, self.diary.clone());
        tokio::spawn(work).await.unwrap()
    }

    /// What was said, and how it ended.
    async fn story(&self) -> Vec<String> {
        let outcome = self.run().await;
        let mut lines = self.diary.lines.lock().unwrap().clone();
        lines.push(match outcome {
            TaskOutcome::Succeeded { .. } => "= succeeded".to_owned(),
            TaskOutcome::Cancelled => "= cancelled".to_owned(),
            TaskOutcome::Failed { failure } => format!("= {:?}: {failure}", failure.fault),
        });
        lines
    }
}

fn factories() -> Factories {
    components::all().into_iter().fold(Factories::builtin(), Factories::with)
}

fn component(kind: ComponentKind, name: &str, options: &[(&str, &str)]) -> ComponentConfig {
    let mut body = ConfigBody::default();
    for (name, value) in options {
        body.set(name, Value::from(*value));
    }
    ComponentConfig { kind, name: name.to_owned(), span: None, body }
}

fn provisioner(options: &[(&str, &str)]) -> ProvisionerPlan {
    ProvisionerPlan {
        component: component(ComponentKind::Provisioner, "probe", options),
        pause_before: SignedDuration::default(),
        timeout: SignedDuration::default(),
        max_retries: 0,
        continue_on_error: false,
    }
}

fn post_processor(name: &str, options: &[(&str, &str)]) -> PostProcessorPlan {
    PostProcessorPlan {
        component: component(ComponentKind::PostProcessor, name, options),
        name: String::new(),
        keep_input_artifact: None,
    }
}

fn plan(builder: ComponentConfig) -> BuildPlan {
    let mut plan = crate::test_plan::plan(&builder.name);
    plan.builder = builder;
    plan
}
