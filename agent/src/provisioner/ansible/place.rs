//! Files that a run needs beside it: keys, the inventory, variables.

use std::io::Write;
use std::path::{Path, PathBuf};

use kiln_component::ProvisionContext;
use kiln_plan::{Failure, Fault};

/// A directory of a run's own, which only this user may enter. Goes with the run.
#[derive(Debug)]
pub(super) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// Makes it in the task's scratch directory.
    ///
    /// # Errors
    /// When that can't be done.
    pub(super) fn new(cx: &ProvisionContext<'_>) -> Result<Self, Failure> {
        let within = &cx.task.scratch;
        let made = tempfile::Builder::new().prefix("ansible").tempdir_in(within);
        let directory = made.map_err(|e| failure("make a directory in", within, &e))?;
        Ok(Self { directory })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that only this user can read.
    ///
    /// # Errors
    /// When that can't be done.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path().join(name);
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| failure("write", &path, &error))?;
        Ok(path)
    }
}

/// Where the inventory of a run lies.
#[derive(Debug)]
pub(super) enum Inventory {
    /// The template's own.
    Given(PathBuf),
    /// One that was made, and goes with the run.
    Made(tempfile::TempPath),
    /// One that was made, and stays.
    Kept(PathBuf),
}

impl Inventory {
    /// Writes one into `directory`, under a name of its own.
    ///
    /// # Errors
    /// When that can't be done.
    pub(super) fn write(directory: &Path, text: &str, keep: bool) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| failure("write an inventory to", directory, &error);
        let made = tempfile::Builder::new().prefix("packer-provisioner-ansible").tempfile_in(directory);
        let mut file = made.map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let path = file.into_temp_path();
        match keep {
            true => path.keep().map(Self::Kept).map_err(|error| failed(error.error)),
            false => Ok(Self::Made(path)),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Kept(path) => path,
            Self::Made(path) => path,
        }
    }
}

fn failure(operation: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Fault::Machine, format!("cannot {operation} {}: {error}", path.display()))
}
