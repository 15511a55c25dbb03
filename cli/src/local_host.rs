//! This machine, as evaluation asks about it: files, environment, clock, the secret stores that it can reach.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kiln_agent::secret_store::{Environment, SecretStores};
use kiln_config::host::{DirectoryEntry, FileKind, Host, HostError};
use kiln_plan::{SecretQuestion, Sensitive, fault};
use kiln_plugin_host::Platform;
use kiln_plugin_host::store::tree;

use crate::log;

/// The largest file that a template may read while it is evaluated.
const LARGEST_FILE: u64 = 256 << 20;

/// This machine.
#[derive(Debug, Default)]
pub(crate) struct LocalHost {
    /// The secret stores that may be asked, with what they have said.
    stores: Option<SecretStores>,
}

impl LocalHost {
    /// The machine for who evaluates a template. Everybody else only looks at one, and asks no secret stores.
    pub(crate) fn with_secret_stores() -> Self {
        Self { stores: Some(SecretStores::new(Environment::of_this_process())) }
    }
}

impl Host for LocalHost {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let failed = |reason: String| HostError::Failed { path: path.to_owned(), reason };
        // Opening a pipe would wait for somebody to write, and so would reading some files below /proc and /sys.
        let mut file = OpenOptions::new();
        let file =
            file.read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).map_err(|e| told(path, &e))?;
        let metadata = file.metadata().map_err(|e| told(path, &e))?;
        if !metadata.is_file() {
            // A device or a pipe may never end.
            return Err(failed("it is not a regular file".to_owned()));
        }
        if metadata.len() > LARGEST_FILE {
            let limit = LARGEST_FILE >> 20;
            return Err(failed(format!(
                "it has {} bytes; a template may read up to {limit} MiB",
                metadata.len()
            )));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // One that grows meanwhile, or tells no size, is read no further either.
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| told(path, &e))?;
        match bytes.len() as u64 {
            size if size > LARGEST_FILE => {
                Err(failed(format!("a template may read up to {} MiB", LARGEST_FILE >> 20)))
            }
            _ => Ok(bytes),
        }
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        let mut bytes = Vec::new();
        match std::io::stdin().take(LARGEST_FILE).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(told("standard input", &error)),
        }
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(kind_of(&metadata))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(path, &error)),
        }
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        let shown = if path.is_empty() { "." } else { path };
        let entries = std::fs::read_dir(shown).map_err(|e| told(path, &e))?;
        let entry = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.map_err(|e| told(path, &e))?;
            let kind = std::fs::metadata(entry.path()).map_or(FileKind::Other, |m| kind_of(&m));
            Ok(DirectoryEntry { name: entry.file_name().to_string_lossy().into_owned(), kind })
        };
        entries.map(entry).collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn now_ns(&self) -> i64 {
        now_ns()
    }

    fn random_uuid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn working_directory(&self) -> String {
        let here = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned());
        here.to_string_lossy().into_owned()
    }

    fn home_directory(&self) -> Option<String> {
        std::env::home_dir().map(|home| home.to_string_lossy().into_owned())
    }

    fn secret(&self, question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        let Some(stores) = &self.stores else { return Ok(None) };
        let failed = |reason: String| HostError::NoSecret { reason };
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(format!("cannot ask a secret store: {error}")))?;
            runtime.block_on(stores.answer(question)).map_err(|error| failed(fault::chain(&error)))
        };
        // A thread of its own: evaluation isn't async, and may itself be run by somebody who is.
        let asked = std::thread::scope(|scope| scope.spawn(ask).join());
        let answer = asked.map_err(|_| failed("the client of the secret store failed".to_owned()))??;
        log::hide([answer.reveal().as_str()]);
        Ok(Some(answer))
    }

    fn installed_plugin(&self, source: &str) -> Option<String> {
        let directory = kiln_plugin_host::directory::of_this_machine().ok()?;
        let file = tree::newest(&directory, &source.parse().ok()?, &Platform::current())?;
        Some(file.display().to_string())
    }
}

/// Now, in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn kind_of(metadata: &std::fs::Metadata) -> FileKind {
    match () {
        () if metadata.is_dir() => FileKind::Directory,
        () if metadata.is_file() => FileKind::File,
        () => FileKind::Other,
    }
}

fn told(path: &str, error: &std::io::Error) -> HostError {
    match error.kind() {
        std::io::ErrorKind::NotFound => HostError::NotFound { path: path.to_owned() },
        _ => HostError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("kiln-pipe-{}", std::process::id()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let outcome = LocalHost::default().read_file(&path.to_string_lossy());
        std::fs::remove_file(&path).unwrap();
        assert!(outcome.unwrap_err().to_string().ends_with("it is not a regular file"));
    }

    #[test]
    fn a_device_is_not_read() {
        let error = LocalHost::default().read_file("/dev/zero").unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero: it is not a regular file");
    }
}
