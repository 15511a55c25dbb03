//! The ssh-agent of this machine: its keys for logging in, and its socket for the guest to use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::{Channel, client::Msg};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where the ssh-agent listens, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct AgentSocket(Option<PathBuf>);

/// Why the ssh-agent is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    /// None is known.
    #[error("no ssh-agent is known; SSH_AUTH_SOCK is not set")]
    Unknown,
    /// It doesn't answer properly.
    #[error("the ssh-agent at {path:?} does not answer")]
    Silent {
        /// Its socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<russh::keys::Error>,
    },
}

/// How long it may take to tell its keys.
const LIMIT: Duration = Duration::from_secs(5);

fn silent(path: &Path, error: russh::keys::Error) -> AgentError {
    AgentError::Silent { path: path.to_owned(), source: Box::new(error) }
}

impl AgentSocket {
    /// The one that `SSH_AUTH_SOCK` names.
    pub fn of_environment() -> Self {
        Self(std::env::var_os("SSH_AUTH_SOCK").filter(|v| !v.is_empty()).map(PathBuf::from))
    }

    /// The one at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Some(path.into()))
    }

    /// Whether somebody listens there.
    pub(super) async fn is_reachable(&self) -> bool {
        match &self.0 {
            Some(path) => timeout(LIMIT, UnixStream::connect(path)).await.is_ok_and(|c| c.is_ok()),
            None => false,
        }
    }

    /// Connects to it.
    pub(super) async fn client(&self) -> Result<AgentClient<UnixStream>, AgentError> {
        let path = self.0.as_ref().ok_or(AgentError::Unknown)?;
        AgentClient::connect_uds(path).await.map_err(|e| silent(path, e))
    }

    /// The keys that it holds.
    pub(super) async fn identities(&self) -> Result<Vec<AgentIdentity>, AgentError> {
        let path = self.0.clone().unwrap_or_default();
        let asked = async { self.client().await?.request_identities().await.map_err(|e| silent(&path, e)) };
        timeout(LIMIT, asked).await.unwrap_or_else(|_| {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Err(silent(&path, late.into()))
        })
    }

    /// Lets a guest's program speak with it over `channel`, to the end.
    pub(super) async fn serve(&self, channel: Channel<Msg>) {
        let Some(path) = &self.0 else { return };
        if let Ok(mut agent) = UnixStream::connect(path).await {
            // Either side may hang up at any time; that is no news.
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut agent).await;
        }
    }
}
