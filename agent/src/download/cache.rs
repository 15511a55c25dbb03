//! Where a downloaded file lies, under Packer's names, and the lock that keeps two downloads of it apart.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_component::Reporter;
use sha1::{Digest, Sha1};

use super::checksum::Sum;
use super::{DownloadError, Wanted};

/// The longest wait for another process that downloads the same file.
const LOCK_PATIENCE: Duration = Duration::from_secs(4 * 3600);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The lock of a downloaded file, and of the part of it that has come so far.
pub(super) fn lock_of(path: &Path) -> PathBuf {
    let whole =
        if path.extension().is_some_and(|e| e == "part") { path.with_extension("") } else { path.to_owned() };
    let mut name = whole.into_os_string();
    name.push(".lock");
    name.into()
}

/// The place of one downloaded file.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
}

impl Target {
    /// In the cache, under a name made of the checksum, so that mirrors share it; without one, of the URL.
    /// A `target_path` of the template goes first; without extension it is a directory.
    pub(super) fn new(
        wanted: &Wanted,
        cache_dir: &Path,
        working_dir: &Path,
        sum: Option<&Sum>,
        url: &str,
    ) -> Self {
        let key = sum.map_or_else(|| url.to_owned(), Sum::to_string);
        let name = format!("{}.{}", hex::encode(Sha1::digest(key)), wanted.extension);
        let path = match &wanted.target_path {
            None => cache_dir.join(name),
            Some(path) if path.extension().is_none() => working_dir.join(path).join(name),
            Some(path) => working_dir.join(path),
        };
        Self { path }
    }

    /// Where it lies while it comes.
    pub(super) fn part(&self) -> PathBuf {
        self.with_suffix(".part")
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Waits until nobody else downloads it.
    pub(super) async fn lock(&self, reporter: &Reporter) -> Result<File, DownloadError> {
        let path = lock_of(&self.path);
        let problem = |operation| {
            let path = path.clone();
            move |source| DownloadError::Cache { operation, path, source }
        };
        if let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await.map_err(problem("create the directory of"))?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(problem("open"))?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(problem("lock")(source)),
                Err(TryLockError::WouldBlock) if started.elapsed() > LOCK_PATIENCE => {
                    return Err(DownloadError::Locked { path: self.path.clone(), waited: LOCK_PATIENCE });
                }
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        told = true;
                        reporter.say("Waiting for another build that downloads the same file");
                    }
                    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                }
            }
        }
    }

    pub(super) async fn rename(&self, from: &Path, to: &Path) -> Result<(), DownloadError> {
        let problem = |source| DownloadError::Cache { operation: "rename", path: from.to_owned(), source };
        tokio::fs::rename(from, to).await.map_err(problem)
    }
}
