//! Taking plug-ins out of a store.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use crate::checksum;

/// Why a plug-in isn't removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It lies elsewhere.
    #[error("{} is not in the plug-in directory {}, so it is left alone", path.display(), directory.display())]
    Elsewhere {
        /// What was to be removed.
        path: PathBuf,
        /// The plug-in directory.
        directory: PathBuf,
    },
    /// There is no such file.
    #[error("there is no file {}; kiln plugins installed lists those that are there", .0.display())]
    Missing(PathBuf),
    /// It can't be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// What was to be removed.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Store {
    /// Removes a plug-in's program and the checksum beside it.
    ///
    /// # Errors
    /// When the program doesn't lie in this store, isn't a file, or can't be removed.
    pub fn remove(&self, program: &Path) -> Result<(), RemoveError> {
        let elsewhere =
            || RemoveError::Elsewhere { path: program.to_owned(), directory: self.directory.clone() };
        let missing = || RemoveError::Missing(program.to_owned());
        // The directory's true place counts: a `..` or a link must lead nowhere else.
        let top = self.directory.canonicalize().map_err(|_| missing())?;
        let parent = program.parent().ok_or_else(elsewhere)?;
        let parent = parent
            .canonicalize()
            .map_err(|_| if program.starts_with(&self.directory) { missing() } else { elsewhere() })?;
        if !parent.starts_with(&top) {
            return Err(elsewhere());
        }
        if !program.is_file() {
            return Err(missing());
        }
        // The program first: what is left after a kill is a checksum of nothing, which doesn't count.
        let problem = |path: &Path| {
            let path = path.to_owned();
            |source| RemoveError::Remove { path, source }
        };
        std::fs::remove_file(program).map_err(problem(program))?;
        let companion = checksum::companion(program);
        match std::fs::remove_file(&companion) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(problem(&companion)(error)),
            _ => Ok(()),
        }
    }
}
