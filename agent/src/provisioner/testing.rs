//! A bench for provisioners: made from their options by their true factories, run through the true communicator in a
//! guest for which a real sshd of this machine stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_component::factory::Make;
use kiln_component::{
    Communicator, FinishedConfig, GeneratedData, ProvisionContext, Provisioner, Reporter, TaskContext,
};
use kiln_lang::{Diagnostics, Value};
use kiln_plan::{ComponentKind, Failure, Redactor};

use crate::Factories;
use crate::communicator::none::NoCommunicator;
use crate::communicator::testing::sshd::Sshd;
use crate::test_plan;
use crate::test_task::{self, TestTask};

/// What a sensitive variable of the template holds, wherever a test needs one.
pub(super) const SECRET: &str = "s3cret-of-the-template";

/// A task with a guest, or without one.
pub(super) struct Bench {
    pub(super) task: TestTask,
    pub(super) sshd: Option<Sshd>,
    pub(super) communicator: Arc<dyn Communicator>,
    pub(super) generated: GeneratedData,
    guest: tempfile::TempDir,
}

impl Bench {
    /// Without a guest.
    pub(super) fn alone() -> Self {
        let mut task = test_task::task();
        task.cx.reporter = Reporter::new(task.heard.clone(), Arc::new(Redactor::new([SECRET])));
        let guest = tempfile::tempdir().expect("a directory");
        let communicator = Arc::new(NoCommunicator);
        Self { task, sshd: None, communicator, generated: GeneratedData::default(), guest }
    }

    /// With a guest.
    pub(super) async fn new() -> Self {
        Self::with(Sshd::start().await).await
    }

    /// With this guest.
    pub(super) async fn with(sshd: Sshd) -> Self {
        let communicator = Arc::new(sshd.connect().await);
        Self { sshd: Some(sshd), communicator, ..Self::alone() }
    }

    /// What a provisioner works with here.
    pub(super) fn context(&self) -> ProvisionContext<'_> {
        let communicator = self.communicator.clone();
        ProvisionContext { task: &self.task.cx, communicator, generated: &self.generated }
    }

    /// A path in a directory of the guest's.
    pub(super) fn guest(&self, name: &str) -> PathBuf {
        self.guest.path().join(name)
    }

    /// The same as text.
    pub(super) fn guest_text(&self, name: &str) -> String {
        self.guest(name).display().to_string()
    }

    /// A path in the working directory.
    pub(super) fn local(&self, name: &str) -> PathBuf {
        self.task.cx.working_dir.join(name)
    }

    /// Writes a file of the working directory, with these permission bits.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) {
        crate::communicator::testing::write(self.local(name), content, mode);
    }

    /// Makes a provisioner and runs it.
    pub(super) async fn run(&self, name: &str, options: serde_json::Value) -> Result<(), Failure> {
        self.run_in(name, options, &self.task.cx).await
    }

    /// Makes a provisioner and runs it under another token or voice.
    pub(super) async fn run_in(
        &self,
        name: &str,
        options: serde_json::Value,
        task: &TaskContext,
    ) -> Result<(), Failure> {
        let made = made(name, config(&options, false, &self.task.cx.working_dir));
        let (provisioner, _) = made.unwrap_or_else(|found| panic!("{found:?}"));
        provisioner.provision(&ProvisionContext { task, ..self.context() }).await
    }

    /// What the check before the run says, one line per finding.
    pub(super) fn check(&self, name: &str, options: serde_json::Value) -> Vec<String> {
        let found = match made(name, config(&options, true, &self.task.cx.working_dir)) {
            Ok((_, warnings)) => warnings,
            Err(errors) => errors,
        };
        found.iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect()
    }

    /// What was said, one line each.
    pub(super) fn words(&self) -> Vec<String> {
        self.task.heard.words()
    }

    /// Whether a line that has `text` in it was said.
    pub(super) fn said(&self, text: &str) -> bool {
        self.words().iter().any(|line| line.contains(text))
    }
}

fn made(name: &str, config: FinishedConfig) -> Result<(Box<dyn Provisioner>, Diagnostics), Diagnostics> {
    let factories = Factories::builtin();
    let factory = factories.get(ComponentKind::Provisioner, name).expect("there is such a provisioner");
    let Make::Provisioner(make) = factory.make else { panic!("{factory:?}") };
    make(config)
}

fn config(options: &serde_json::Value, dry: bool, working_dir: &Path) -> FinishedConfig {
    let mut plan = test_plan::plan("qemu");
    plan.facts.working_dir = working_dir.display().to_string();
    FinishedConfig { options: value(options), plan: Arc::new(plan), dry, generated: GeneratedData::default() }
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => Value::from(n.as_i64().expect("a whole number")),
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::tuple(items.iter().map(value).collect()),
        serde_json::Value::Object(map) => Value::object(map.iter().map(|(k, v)| (k.clone(), value(v)))),
    }
}

/// The command lines of all processes of this machine that have `text` in them.
pub(super) fn processes_with(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}
