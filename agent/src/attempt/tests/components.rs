//! Small components behind the true traits. Factories are plain functions, so what they remember lies in files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{
    Artifact, Builder, Done, Factory, FinishedConfig, GeneratedData, Keep, Pipeline, PostProcessor,
    Processed, ProvisionContext, ProvisionHook, Provisioner, Step, TaskContext,
};
use kiln_lang::Value;
use kiln_plan::schema::OptionType::{Bool, Integer, String as Text};
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use crate::artifact::FilesArtifact;
use crate::builder::file::mock_communicator::MockCommunicator;
use crate::builder::provision::provision;

pub(super) fn all() -> [Factory; 3] {
    let option = |name, ty| OptionSchema::new(name, ty, "for tests");
    let provisioner = vec![
        option("note", Text),
        option("failures", Integer),
        option("wait", Bool),
        option("show", Text),
        option("late", Text).late(),
    ];
    let post_processor =
        vec![option("make", Text), option("keep", Text), option("fail", Bool), option("none", Bool)];
    [
        Factory::builder("probe", vec![option("fail_at", Text)], &["Extra"], |c| {
            made::<ProbeBuilder, _>(c, |x| Box::new(x))
        }),
        Factory::provisioner("probe", provisioner, |c| made::<ProbeProvisioner, _>(c, |x| Box::new(x))),
        Factory::post_processor("probe", post_processor, |c| {
            made::<ProbePostProcessor, _>(c, |x| Box::new(x))
        }),
    ]
}

fn made<T: serde::de::DeserializeOwned, U>(config: FinishedConfig, boxed: fn(T) -> U) -> Made<U> {
    Ok((boxed(config.decode()?), Default::default()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProbeBuilder {
    fail_at: String,
}

struct Stage<'a> {
    name: &'static str,
    builder: &'a ProbeBuilder,
}

#[async_trait]
impl Step for Stage<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&self, _: &TaskContext) -> Result<Done<()>, Failure> {
        match self.builder.fail_at == self.name {
            true => Err(Failure::new(Fault::Machine, format!("cannot {}", self.name))),
            false => Ok(Done::plain(())),
        }
    }
}

#[async_trait]
impl Builder for ProbeBuilder {
    async fn build(
        &self,
        cx: &TaskContext,
        hook: Arc<dyn ProvisionHook>,
    ) -> Result<Option<Arc<dyn Artifact>>, Failure> {
        let mut generated = GeneratedData::default();
        generated.set("ID", "i-1");
        generated.set("WinRMPassword", Value::from("hunter2-of-guest").marked(true));
        Pipeline::run(cx, async |pipeline: &mut Pipeline| {
            pipeline.step(&Stage { name: "boot", builder: self }).await?;
            provision(pipeline, hook, Arc::new(MockCommunicator), generated.clone()).await?;
            pipeline.step(&Stage { name: "export", builder: self }).await
        })
        .await?;
        Ok(None)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProbeProvisioner {
    note: String,
    /// How many tries fail before one succeeds.
    failures: usize,
    /// Waits until it is cancelled.
    wait: bool,
    show: String,
    late: String,
}

#[async_trait]
impl Provisioner for ProbeProvisioner {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        cx.task.reporter.say(&self.note);
        for text in [&self.show, &self.late].into_iter().filter(|text| !text.is_empty()) {
            cx.task.reporter.say(text);
        }
        if self.wait {
            cx.task.cancel.cancelled().await;
            return Err(Failure::cancelled());
        }
        let tries = count(&cx.task.scratch.join(&self.note));
        match tries <= self.failures {
            true => Err(Failure::new(Fault::Guest, format!("try {tries} failed"))),
            false => Ok(()),
        }
    }
}

fn count(file: &Path) -> usize {
    let tries = std::fs::read(file).map_or(0, |bytes| bytes.len()) + 1;
    std::fs::write(file, "x".repeat(tries)).unwrap();
    tries
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProbePostProcessor {
    make: String,
    /// `drop`, `keep` or `always`.
    keep: String,
    fail: bool,
    none: bool,
}

#[async_trait]
impl PostProcessor for ProbePostProcessor {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        if self.fail {
            return Err(Failure::new(Fault::Machine, format!("{} is broken", self.make)));
        }
        let keep = match self.keep.as_str() {
            "drop" => Keep::DropByDefault,
            "keep" => Keep::KeepByDefault,
            _ => Keep::Always,
        };
        let file = cx.resolve(&self.make);
        std::fs::write(&file, "x").unwrap();
        let artifact: Arc<dyn Artifact> = Arc::new(FilesArtifact::after(&*input, "test", vec![file]));
        Ok(Processed { artifact: (!self.none).then_some(artifact), keep })
    }
}
