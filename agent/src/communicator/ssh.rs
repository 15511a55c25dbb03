//! The SSH communicator: one connection that many commands and transfers share, renewed when it is lost.
//!
//! ```text
//!   connected ──(a channel can't be opened: reboot, crash, too many sessions)──► reconnecting ──► connected
//!       │                                                                            │ RECONNECT_LIMIT, or the guest is gone
//!       └── close ──► closed ◄───────────────── the call fails; the next one tries again
//! ```
//!
//! Packer reconnects once per new session and at once gives up on a guest that is still rebooting; here the
//! reconnection waits for it. A command that was running when the connection broke ends as disconnected.

mod agent;
mod auth;
mod connection;
mod events;
mod farewell;
mod path;
mod proxy;
mod session;
#[cfg(test)]
mod tests;
mod transfer_scp;
mod transfer_sftp;
mod tunnel;
mod wire;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::communicator::RemoteCommand;
use kiln_component::{Communicator, CommunicatorError};
use russh::client::Msg;
use russh::{Channel, Disconnect};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::config::TransferMethod;
use super::tree;
pub use agent::AgentSocket;
use connection::Connection;
pub(super) use connection::Limits;
pub use connection::{AttemptError, Target};
use tree::Entry;

/// How long a lost guest is waited for: enough for a reboot without hardware acceleration.
const RECONNECT_LIMIT: Duration = Duration::from_mins(3);

/// How long a living guest may take to open a channel.
const CHANNEL_LIMIT: Duration = Duration::from_secs(60);

/// How many connections may turn out to have no channel to give.
const CONNECTIONS: usize = 8;

/// Speaks with a guest over SSH. Cheap to clone.
#[derive(Clone)]
pub struct Ssh {
    inner: Arc<Inner>,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").field("target", &self.inner.target).finish_non_exhaustive()
    }
}

struct Inner {
    target: Target,
    live: Mutex<Option<Arc<Connection>>>,
    closed: CancellationToken,
    tunnels: Mutex<JoinSet<()>>,
    /// Whether the guest lacks the transfer method that the template wants.
    other_method: AtomicBool,
}

/// Why a transfer failed.
#[derive(Debug)]
enum TransferError {
    /// The guest has no such program.
    Missing(&'static str),
    Failed(CommunicatorError),
}

impl From<CommunicatorError> for TransferError {
    fn from(error: CommunicatorError) -> Self {
        Self::Failed(error)
    }
}

fn unreachable(operation: &str, source: impl std::error::Error + Send + Sync + 'static) -> CommunicatorError {
    CommunicatorError::Unreachable { operation: operation.to_owned(), source: Box::new(source) }
}

/// The communicator can't be used any more, or its guest can't.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the connection was closed")]
    Closed,
    #[error("the guest opens no session within {} s", .0.as_secs())]
    Stuck(Duration),
}

impl Ssh {
    /// Tries to reach the guest once.
    ///
    /// # Errors
    /// How far it came, and why no further.
    pub(super) async fn connect(target: &Target, limits: Limits) -> Result<Self, AttemptError> {
        let connection = target.attempt(limits).await?;
        let inner = Arc::new(Inner {
            target: target.clone(),
            live: Mutex::new(Some(Arc::new(connection))),
            closed: CancellationToken::new(),
            tunnels: Mutex::default(),
            other_method: AtomicBool::new(false),
        });
        let tunnels = tunnel::listen(&target.config.tunnels, &inner).await?;
        *inner.tunnels.lock().await = tunnels;
        Ok(Self { inner })
    }

    /// Where the guest was when it was reached last.
    pub async fn address(&self) -> Option<super::Address> {
        self.inner.live.lock().await.as_ref().map(|c| c.address.clone())
    }

    /// Carries files by the method that the template wants, or by the other when the guest lacks the first.
    async fn transfer(
        &self,
        scp: impl Future<Output = Result<(), TransferError>> + Send,
        sftp: impl Future<Output = Result<(), TransferError>> + Send,
    ) -> Result<(), CommunicatorError> {
        let inner = &self.inner;
        let wanted = inner.target.config.session.transfer == TransferMethod::Scp;
        let swapped = inner.other_method.load(Ordering::Relaxed);
        let by_scp = wanted != swapped;
        let (mut scp, mut sftp) = (std::pin::pin!(scp), std::pin::pin!(sftp));
        let first = if by_scp { scp.as_mut().await } else { sftp.as_mut().await };
        let missing = match first {
            Ok(()) => return Ok(()),
            Err(TransferError::Failed(error)) => return Err(error),
            Err(TransferError::Missing(what)) => what,
        };
        let second = if by_scp { sftp.await } else { scp.await };
        match second {
            Err(TransferError::Missing(_)) => Err(CommunicatorError::Refused {
                operation: "carry files".to_owned(),
                reason:
                    "the guest has neither scp nor an sftp server; install OpenSSH's client or server in it"
                        .to_owned(),
            }),
            Err(TransferError::Failed(error)) => Err(error),
            Ok(()) => {
                // Told once, however many transfers find out at the same time.
                if inner.other_method.swap(!swapped, Ordering::Relaxed) == swapped {
                    let instead = if by_scp { "sftp" } else { "scp" };
                    inner
                        .target
                        .reporter
                        .say(format!("The guest has no {missing}; files go by {instead} instead"));
                }
                Ok(())
            }
        }
    }
}

impl Inner {
    /// The connection, made anew if it was lost.
    async fn connection(&self, operation: &str) -> Result<Arc<Connection>, CommunicatorError> {
        let mut live = self.live.lock().await;
        if self.closed.is_cancelled() {
            return Err(unreachable(operation, Over::Closed));
        }
        if let Some(connection) = live.as_ref().filter(|c| !c.is_closed()) {
            return Ok(connection.clone());
        }
        *live = None;
        let connection = tokio::select! {
            () = self.closed.cancelled() => return Err(unreachable(operation, Over::Closed)),
            reason = self.target.guest.gone() => {
                return Err(CommunicatorError::Gone { operation: operation.to_owned(), reason });
            }
            made = self.reconnect() => Arc::new(made.map_err(|e| unreachable(operation, e))?),
        };
        *live = Some(connection.clone());
        Ok(connection)
    }

    async fn reconnect(&self) -> Result<Connection, AttemptError> {
        let deadline = Instant::now() + RECONNECT_LIMIT;
        let mut pause = Duration::from_millis(250);
        tracing::info!("the connection to the guest is lost; reconnecting");
        loop {
            let attempt = self.target.attempt(Limits::default());
            let error = match timeout_at(deadline, attempt).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => AttemptError::Dial {
                    to: "the guest".to_owned(),
                    source: std::io::ErrorKind::TimedOut.into(),
                },
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, "not yet");
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
        }
    }

    /// Opens a channel for a command or subsystem, on a new connection if the present one has none to give.
    async fn channel(&self, operation: &str) -> Result<(Channel<Msg>, Arc<Connection>), CommunicatorError> {
        let mut failure = unreachable(operation, Over::Closed);
        // More than two, because others may fill a new connection before us.
        for _ in 0..CONNECTIONS {
            let connection = self.connection(operation).await?;
            match timeout(CHANNEL_LIMIT, connection.handle.channel_open_session()).await {
                Ok(Ok(channel)) => return Ok((channel, connection)),
                Ok(Err(error)) => failure = unreachable(operation, error),
                Err(_) => failure = unreachable(operation, Over::Stuck(CHANNEL_LIMIT)),
            }
            self.forget(&connection).await;
        }
        Err(failure)
    }

    /// The next channel is for another connection. Commands that run on this one go on.
    async fn forget(&self, connection: &Arc<Connection>) {
        let mut live = self.live.lock().await;
        if live.as_ref().is_some_and(|c| Arc::ptr_eq(c, connection)) {
            *live = None;
        }
    }
}

#[async_trait]
impl Communicator for Ssh {
    async fn start(&self, command: &str) -> Result<RemoteCommand, CommunicatorError> {
        session::start(&self.inner, command).await
    }

    async fn upload_bytes(
        &self,
        content: &[u8],
        destination: &str,
        mode: u32,
    ) -> Result<(), CommunicatorError> {
        let operation = format!("write {destination} in the guest");
        let (inner, size) = (&self.inner, content.len() as u64);
        let scp = transfer_scp::upload(inner, operation.clone(), (destination, mode, size), content);
        let sftp = transfer_sftp::upload(inner, operation.clone(), (destination, mode), content);
        self.transfer(scp, sftp).await
    }

    async fn upload(&self, source: &Path, destination: &str) -> Result<(), CommunicatorError> {
        let (file, mode, size) = transfer_scp::open(source).await?;
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        // A destination that names a directory gets the file under its own name.
        let destination =
            if destination.ends_with('/') { format!("{destination}{name}") } else { destination.to_owned() };
        let operation = format!("copy {} to {destination} in the guest", source.display());
        let inner = &self.inner;
        let again = || async { transfer_scp::open(source).await.map(|(file, ..)| file) };
        let scp = transfer_scp::upload(inner, operation.clone(), (&destination, mode, size), file);
        let sftp = async {
            transfer_sftp::upload(inner, operation.clone(), (&destination, mode), again().await?).await
        };
        self.transfer(scp, sftp).await
    }

    async fn upload_dir(
        &self,
        source: &Path,
        destination: &str,
        contents_only: bool,
    ) -> Result<(), CommunicatorError> {
        let operation = format!("copy {} to {destination} in the guest", source.display());
        let entries: Vec<Entry> = tree::walk(source, contents_only).await?;
        let what = (entries.as_slice(), contents_only);
        let scp = transfer_scp::upload_dir(&self.inner, operation.clone(), destination, what);
        let sftp = transfer_sftp::upload_dir(&self.inner, operation.clone(), destination, what);
        self.transfer(scp, sftp).await
    }

    async fn download(&self, source: &str, destination: &Path) -> Result<(), CommunicatorError> {
        let operation = format!("fetch {source} from the guest to {}", destination.display());
        let scp = transfer_scp::download(&self.inner, operation.clone(), source, destination);
        let sftp = transfer_sftp::download(&self.inner, operation.clone(), source, destination);
        self.transfer(scp, sftp).await
    }

    async fn download_dir(&self, source: &str, destination: &Path) -> Result<(), CommunicatorError> {
        let operation = format!("fetch {source} from the guest to {}", destination.display());
        let made = tokio::fs::create_dir_all(destination).await;
        made.map_err(|e| CommunicatorError::Local {
            operation: format!("make {}", destination.display()),
            source: e,
        })?;
        let scp = transfer_scp::download_dir(&self.inner, operation.clone(), source, destination);
        let sftp = transfer_sftp::download_dir(&self.inner, operation.clone(), source, destination);
        self.transfer(scp, sftp).await
    }

    async fn close(&self) {
        self.inner.closed.cancel();
        self.inner.tunnels.lock().await.abort_all();
        if let Some(connection) = self.inner.live.lock().await.take() {
            // A courtesy; the guest may be gone.
            let farewell = connection.handle.disconnect(Disconnect::ByApplication, "", "");
            let _ = timeout(Duration::from_secs(2), farewell).await;
        }
    }
}
