//! What the tests of the communicators share: a real sshd per test, a server that takes passwords, a task.

pub(crate) mod passwords;
pub(crate) mod sshd;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::communicator::RemoteCommand;
use kiln_component::reporter::EventSink;
use kiln_component::{Communicator, Exit, Reporter, TaskContext};
use kiln_lang::Value;
use kiln_plan::build::{BuildPlan, Dialect, PLAN_FORMAT, RunOptions, TemplateContext};
use kiln_plan::component::{ComponentConfig, ComponentKind, ConfigBody};
use kiln_plan::{EventKind, Redactor};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::config::{CommunicatorConfig, SshConfig};

/// The most that anything in a test may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test's future under [`LIMIT`].
pub(crate) async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("the test takes too long")
}

/// Remembers what is said.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Vec<String>>);

impl Memory {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|l| l.contains(text))
    }
}

#[async_trait]
impl EventSink for Memory {
    fn send(&self, event: EventKind) {
        if let EventKind::Say { text, .. } | EventKind::Error { text, .. } = event {
            self.0.lock().unwrap().push(text);
        }
    }

    async fn ask(&self, text: &str) -> Option<String> {
        self.0.lock().unwrap().push(format!("asked: {text}"));
        Some("the answer".to_owned())
    }
}

pub(crate) fn reporter() -> (Arc<Memory>, Reporter) {
    let memory = Arc::new(Memory::default());
    (memory.clone(), Reporter::new(memory, Arc::new(Redactor::default())))
}

/// A task in a directory of its own.
pub(crate) fn task(dir: &Path) -> (Arc<Memory>, TaskContext) {
    let (memory, reporter) = reporter();
    let plan = BuildPlan {
        format: PLAN_FORMAT,
        name: "test".to_owned(),
        source_name: "test".to_owned(),
        dialect: Dialect::Hcl2,
        builder: ComponentConfig {
            kind: ComponentKind::Builder,
            name: "test".to_owned(),
            span: None,
            body: ConfigBody::default(),
        },
        provisioners: Vec::new(),
        error_cleanup: None,
        post_processors: Vec::new(),
        facts: TemplateContext::default(),
        options: RunOptions::default(),
        secrets: Vec::new(),
        requirements: kiln_plan::requirements::Requirements::default(),
    };
    let context = TaskContext {
        plan: Arc::new(plan),
        reporter,
        cancel: CancellationToken::new(),
        scratch: dir.to_owned(),
        working_dir: dir.to_owned(),
        cache_dir: dir.to_owned(),
    };
    (memory, context)
}

/// Options as a template gives them.
pub(crate) fn options<'a>(given: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::object(given.into_iter().map(|(k, v)| (k.to_owned(), v)))
}

/// The config that these options make, for the user who runs the test.
pub(crate) fn ssh_config<'a>(given: impl IntoIterator<Item = (&'a str, Value)>) -> SshConfig {
    let user = ("ssh_username", Value::from(me()));
    let given = options([user].into_iter().chain(given));
    let (config, warnings) =
        CommunicatorConfig::parse(&given, Path::new("/")).expect("the options are right");
    assert!(warnings.is_empty(), "{warnings:?}");
    config.ssh().expect("it is ssh").clone()
}

/// Who runs the test.
pub(crate) fn me() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).expect("the user database can be read");
    user.expect("the user has a name").name
}

/// What a command said and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: Exit,
}

/// Runs a command to its end.
pub(crate) async fn run(communicator: &dyn Communicator, command: &str) -> Ran {
    let mut remote = communicator.start(command).await.expect("the command starts");
    remote.stdin = None;
    finish(remote).await
}

/// Reads a command to its end.
pub(crate) async fn finish(mut remote: RemoteCommand) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (a, b) = tokio::join!(remote.stdout.read_to_end(&mut out), remote.stderr.read_to_end(&mut err));
    a.unwrap();
    b.unwrap();
    let text = |t: Vec<u8>| String::from_utf8_lossy(&t).into_owned();
    Ran { out: text(out), err: text(err), exit: remote.exit.await.expect("the exit is told") }
}

/// Waits until `holds`, within [`LIMIT`].
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, waited).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// Bytes that no compression and no line ending survives by luck.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

/// Writes a file with these permission bits.
pub(crate) fn write(path: PathBuf, content: impl AsRef<[u8]>, mode: u32) {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// The permission bits of a file.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777
}
