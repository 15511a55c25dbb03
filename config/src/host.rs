//! The only questions that evaluation asks the world.
//!
//! Everything else in this crate is a function of its arguments. The command line answers from the machine,
//! a coordinator from the submitted bundle, a test from a table.

use std::fmt;
use std::sync::Arc;

use kiln_plan::{SecretQuestion, Sensitive};

/// Answers questions. Paths are as templates and users write them; relative ones are relative to
/// [`Host::working_directory`].
pub trait Host: fmt::Debug + Send + Sync {
    /// The contents of a file.
    ///
    /// # Errors
    /// [`HostError`] when it can't be read.
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError>;

    /// All of standard input.
    ///
    /// # Errors
    /// [`HostError`] when there is none.
    fn read_standard_input(&self) -> Result<Vec<u8>, HostError>;

    /// What stands at a path, following links; `None` when nothing does.
    ///
    /// # Errors
    /// [`HostError`] when it can't be told, for example for lack of permission.
    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError>;

    /// The entries of a directory, in any order.
    ///
    /// # Errors
    /// [`HostError`] when it can't be listed.
    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError>;

    /// The environment variable of that name, if it is set.
    fn environment(&self, name: &str) -> Option<String>;

    /// Now, in nanoseconds since the Unix epoch.
    fn now_ns(&self) -> i64;

    /// A new random (version 4) UUID.
    fn random_uuid(&self) -> String;

    /// The absolute directory from which the build was started.
    fn working_directory(&self) -> String;

    /// The user's home directory, if there is one.
    fn home_directory(&self) -> Option<String>;

    /// What a secret store answers. `None` from a host that asks none, because templates are only looked at: the value
    /// is unknown then. The same question has the same answer for as long as the host lives.
    ///
    /// # Errors
    /// [`HostError::NoSecret`] when the store has no such secret, refuses it or can't be reached.
    fn secret(&self, _question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        Ok(None)
    }

    /// The file of the newest installed plug-in from that source (`github.com/hashicorp/amazon`), for words; told by
    /// its name alone, without running it. None unless the host knows of plug-ins.
    fn installed_plugin(&self, _source: &str) -> Option<String> {
        None
    }
}

/// A host that functions can keep.
pub type SharedHost = Arc<dyn Host>;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket, a device, a pipe.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name, without the directory.
    pub name: String,
    /// What it is, links followed; a broken link counts as `Other`.
    pub kind: FileKind,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is no such file or directory.
    #[error("{path}: no such file or directory")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// Anything else.
    #[error("{path}: {reason}")]
    Failed {
        /// The path asked for.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// A secret store gave no answer.
    #[error("{reason}")]
    NoSecret {
        /// A sentence without any secret.
        reason: String,
    },
}

/// Reads a text file.
///
/// # Errors
/// [`HostError`] when it can't be read or is not UTF-8.
pub fn read_text(host: &dyn Host, path: &str) -> Result<String, HostError> {
    let bytes = host.read_file(path)?;
    String::from_utf8(bytes)
        .map_err(|_| HostError::Failed { path: path.to_owned(), reason: "the file is not UTF-8 text".into() })
}
