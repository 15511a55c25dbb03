//! One writer at a time: `<manifest>.lock`, where Packer looks for it.
//!
//! The file alone is Packer's sign; a kernel lock on it, which a dead process can't keep, is ours. Whoever gets the kernel
//! lock makes sure that the file is still the one at that path, since the one before removes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_component::Reporter;
use tokio::time::Instant;

/// A manifest is written in milliseconds; whoever needs longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held while a manifest is read, changed and written.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits for its turn, at most ten seconds, then goes on without, as Packer does: `None`.
    pub(super) async fn acquire(manifest: &Path, reporter: &Reporter) -> Option<Self> {
        let mut path = manifest.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let deadline = Instant::now() + PATIENCE;
        // Other processes hold it as well, and tell nobody when they let go.
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let problem = loop {
            match attempt(&path) {
                Ok(Some(file)) => return Some(Self { path, _file: file }),
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => break "it stays locked".to_owned(),
                Err(e) => break e.to_string(),
            }
            tick.tick().await;
        };
        reporter.say(format!("Writing the manifest without the lock {}: {problem}", path.display()));
        None
    }
}

fn attempt(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(e)) => return Err(e),
    }
    let own = file.metadata()?.ino();
    let is_current = fs::metadata(path).is_ok_and(|current| current.ino() == own);
    Ok(is_current.then_some(file))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the kernel lock goes, with the file.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a manifest's lock");
        }
    }
}
