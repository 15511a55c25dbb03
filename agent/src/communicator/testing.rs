//! What the tests of the communicators share: a real sshd per test, and a server that takes passwords.

pub(crate) mod passwords;
pub(crate) mod sshd;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_component::communicator::RemoteCommand;
use kiln_component::{Communicator, Exit};
use kiln_lang::Value;
use tokio::io::AsyncReadExt;

use super::config::{CommunicatorConfig, SshConfig};

/// The most that anything in a test may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test's future under [`LIMIT`].
pub(crate) async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("the test takes too long")
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
