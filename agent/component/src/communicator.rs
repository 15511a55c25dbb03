//! The way to speak with a guest: run a command, carry files in and out.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// How a remote command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code (a signal counts as 128 plus its number).
    Code(i32),
    /// The connection went away before the command told its code: a reboot, or a dead guest.
    Disconnected,
}

impl Exit {
    /// Packer's number for a vanished connection, which templates know.
    pub const DISCONNECTED_CODE: i32 = 2_300_218;

    /// The number that templates see.
    pub const fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Disconnected => Self::DISCONNECTED_CODE,
        }
    }
}

/// Why the way to the guest failed. A command's non-zero exit is no such failure.
#[derive(Debug, thiserror::Error)]
pub enum CommunicatorError {
    /// The connection is gone or can't be made.
    #[error("cannot reach the guest while trying to {operation}")]
    Unreachable {
        /// What was being done.
        operation: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The guest is no more; trying again is of no use.
    #[error("cannot {operation}: the guest is gone: {reason}")]
    Gone {
        /// What was being done.
        operation: String,
        /// What became of it.
        reason: String,
    },
    /// The guest refused or failed a transfer.
    #[error("cannot {operation}: {reason}")]
    Refused {
        /// What was being done, with both paths.
        operation: String,
        /// What the guest said.
        reason: String,
    },
    /// A file on this side can't be read or written.
    #[error("cannot {operation}")]
    Local {
        /// What was being done.
        operation: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// This communicator can't do such a thing at all.
    #[error("the communicator {communicator:?} cannot {operation}")]
    Unsupported {
        /// Its name, such as `none`.
        communicator: &'static str,
        /// What was asked for.
        operation: String,
    },
}

/// A stream from the guest.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;
/// A stream to the guest.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;

/// A command that is running in the guest. Dropping it hangs up; the guest may go on running it.
pub struct RemoteCommand {
    /// What the command reads; dropping it sends end-of-file.
    pub stdin: Option<Input>,
    /// What it writes. Must be read, or the guest's command stalls.
    pub stdout: Output,
    /// What it writes to standard error. Must be read as well.
    pub stderr: Output,
    /// Resolves when it has ended and both outputs are closed.
    pub exit: tokio::sync::oneshot::Receiver<Exit>,
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCommand").finish_non_exhaustive()
    }
}

/// A connected way to a guest. All methods may be dropped at any time (cancellation); a dropped transfer may
/// leave a partial file in the guest.
#[async_trait]
pub trait Communicator: fmt::Debug + Send + Sync {
    /// Starts a command. Reconnects first if the connection was lost.
    ///
    /// # Errors
    /// When the guest can't be reached.
    async fn start(&self, command: &str) -> Result<RemoteCommand, CommunicatorError>;

    /// Writes `content` to the guest's `destination`, with permission bits `mode`.
    ///
    /// # Errors
    /// When the guest can't be reached or refuses.
    async fn upload_bytes(
        &self,
        content: &[u8],
        destination: &str,
        mode: u32,
    ) -> Result<(), CommunicatorError>;

    /// Copies a local file to the guest's `destination`, keeping its permission bits.
    ///
    /// # Errors
    /// When the file can't be read, the guest can't be reached or refuses.
    async fn upload(&self, source: &Path, destination: &str) -> Result<(), CommunicatorError>;

    /// Copies a local directory. With `contents_only` (a source written with a trailing slash) its members
    /// land in `destination`, otherwise the directory itself does, under its own name.
    ///
    /// # Errors
    /// As for [`Communicator::upload`].
    async fn upload_dir(
        &self,
        source: &Path,
        destination: &str,
        contents_only: bool,
    ) -> Result<(), CommunicatorError>;

    /// Copies a file of the guest to the local `destination`.
    ///
    /// # Errors
    /// As for [`Communicator::upload`].
    async fn download(&self, source: &str, destination: &Path) -> Result<(), CommunicatorError>;

    /// Copies a directory (or a glob) of the guest into the local directory `destination`.
    ///
    /// # Errors
    /// As for [`Communicator::upload`].
    async fn download_dir(&self, source: &str, destination: &Path) -> Result<(), CommunicatorError>;

    /// Hangs up. Later calls fail.
    async fn close(&self);
}
