//! Where a plug-in is made ready before it counts: a directory inside the store, so that the last step is a rename.
//!
//! ```text
//!  begin ──► .kiln-install-XXXX/archive ─► …/program ─► …/checksum ──► commit: checksum renamed, program renamed ──► counts
//!    │                     │
//!    │                     └── dropped, failed, disk full: the directory is removed
//!    └── directories whose owner was killed are removed by the next one: their locks are free
//! ```
//!
//! Renaming the program is the one step that makes the plug-in count: a checksum without a program is nothing, and a
//! replaced program of other content doesn't fit the new checksum until then. Names inside are no plug-in's names, so
//! that no search finds them.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kiln_plan::PluginSource;
use tempfile::TempDir;

use super::Store;
use crate::checksum;
use crate::file_name::PluginFileName;

const PREFIX: &str = ".kiln-install-";

/// A place in a store for one plug-in that isn't installed yet. Dropping it removes all that is in it.
#[derive(Debug)]
pub struct Staging {
    directory: TempDir,
    /// Held as long as this process works here.
    _lock: File,
}

/// Why a plug-in can't be put into a store.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The disk is full.
    #[error(
        "no space left for {}; free some, or install elsewhere with PACKER_PLUGIN_PATH", path.display()
    )]
    DiskFull {
        /// What didn't fit.
        path: PathBuf,
    },
    /// A file or directory can't be made.
    #[error("cannot {operation} {}", path.display())]
    Write {
        /// What was being done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StageError {
    /// With the right words for what the system says.
    pub(crate) fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Write { operation, path, source },
        }
    }
}

impl Staging {
    /// Where the archive goes.
    pub fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    /// Where the program goes.
    pub fn program(&self) -> PathBuf {
        self.directory.path().join("program")
    }

    fn checksum(&self) -> PathBuf {
        self.directory.path().join("checksum")
    }
}

impl Store {
    /// Begins to install. Makes the store when it is missing; removes what killed installations left in it.
    ///
    /// # Errors
    /// When the store can't be written to.
    pub fn begin(&self) -> Result<Staging, StageError> {
        let top = &self.directory;
        fs::create_dir_all(top).map_err(|e| StageError::new("make the plug-in directory", top, e))?;
        self.sweep();
        let make = || {
            // Shared with others that begin; whoever sweeps waits for nobody and comes another time.
            let gate = File::open(top)?;
            // On a file system without locks nothing is ever swept, and nothing need be held.
            let _held = gate.lock_shared();
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(top)?;
            let lock = File::open(directory.path())?;
            let _held = lock.lock();
            Ok(Staging { directory, _lock: lock })
        };
        make().map_err(|e| StageError::new("make a directory in", top, e))
    }

    /// Removes what killed installations left. That nothing could be removed is nobody's trouble now.
    fn sweep(&self) {
        let Ok(gate) = File::open(&self.directory) else { return };
        if gate.try_lock().is_err() {
            return;
        }
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for entry in entries.filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
            let Ok(file) = File::open(entry.path()) else { continue };
            match file.try_lock() {
                Ok(()) => {
                    tracing::info!(directory = %entry.path().display(), "removing what a killed installation left");
                    let _tried = fs::remove_dir_all(entry.path());
                }
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            }
        }
    }

    /// Makes the staged program count as the plug-in of that name, and tells where it lies now. A plug-in of the same
    /// name is replaced. Blocks while the program is read once more and written to the disk.
    ///
    /// # Errors
    /// When something can't be written; then nothing counts that didn't before.
    pub fn commit(
        &self,
        staging: &Staging,
        source: &PluginSource,
        file: &PluginFileName,
    ) -> Result<PathBuf, StageError> {
        let (program, sum) = (staging.program(), staging.checksum());
        let at = |operation: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| StageError::new(operation, &path, source)
        };
        let digest = checksum::sha256(&program).map_err(at("read", &program))?;
        settle(&program, 0o755).map_err(at("write", &program))?;
        fs::write(&sum, digest).and_then(|()| settle(&sum, 0o644)).map_err(at("write", &sum))?;
        let directory = self.directory_of(source);
        fs::create_dir_all(&directory).map_err(at("make the directory", &directory))?;
        let target = directory.join(file.to_string());
        let companion = checksum::companion(&target);
        fs::rename(&sum, &companion).map_err(at("write", &companion))?;
        if let Err(error) = fs::rename(&program, &target) {
            let _useless = fs::remove_file(&companion);
            return Err(StageError::new("write", &target, error));
        }
        File::open(&directory).and_then(|d| d.sync_all()).map_err(at("write", &directory))?;
        Ok(target)
    }
}

/// Sets a file's mode, whatever the user's mask is, and waits until it is on the disk.
fn settle(path: &Path, mode: u32) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    file.flush()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.sync_all()
}
