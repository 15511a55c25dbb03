//! Room for a task's own files: a private directory that goes when the task does, even if the agent dies first.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::journal::{Entry, Intent, Journal, JournalError};

/// Why there is no scratch directory.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The intent could not be journalled.
    #[error("cannot announce the scratch directory {}", path.display())]
    Journal {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// It could not be made.
    #[error("cannot make the scratch directory {}", path.display())]
    Make {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A directory that only this user may enter (0700), removed with everything in it when dropped, unless the
/// journal leaves everything.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    journal: Journal,
    entry: Option<Entry>,
}

impl Scratch {
    /// Makes the directory; its parent must exist, it itself must not.
    ///
    /// # Errors
    /// When it exists or can't be made.
    pub fn make(path: &Path, journal: &Journal) -> Result<Self, ScratchError> {
        let entry = journal
            .intend(Intent::directory(path))
            .map_err(|source| ScratchError::Journal { path: path.to_owned(), source })?;
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => Ok(Self { path: path.to_owned(), journal: journal.clone(), entry: Some(entry) }),
            Err(source) => {
                // It may be another's: not ours to remove.
                entry.clear();
                Err(ScratchError::Make { path: path.to_owned(), source })
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.journal.is_leaving() {
            // An empty one tells nobody anything; one that isn't stays.
            let _stays = fs::remove_dir(&self.path);
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "cannot remove a scratch directory");
            }
            _ => self.entry.take().into_iter().for_each(Entry::clear),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_scratch_directory_is_private_and_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("t");
        let journal = Journal::in_memory();
        let scratch = Scratch::make(&path, &journal).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(scratch.path().join("disk"), "x").unwrap();
        assert!(Scratch::make(&path, &journal).is_err(), "one directory, one owner");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_scratch_directory_stays_when_everything_is_left() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("t");
        let journal = Journal::in_memory();
        let scratch = Scratch::make(&path, &journal).unwrap();
        fs::write(path.join("serial.log"), "x").unwrap();
        journal.leave_everything();
        drop(scratch);
        assert!(path.join("serial.log").exists());
    }
}
