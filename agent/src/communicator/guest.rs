//! What a builder tells a communicator about its guest: where it is now, and when it is no more.

use std::fmt;

use async_trait::async_trait;

/// Where a guest can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The port, as it is to be connected to: with a forwarded port, the one on this machine.
    pub port: u16,
}

impl Address {
    /// An address from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The guest has no address yet, and why: `no DHCP lease for 52:54:00:12:34:56`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest has no address yet: {0}")]
pub struct NoAddress(pub String);

/// A guest, as its builder knows it.
#[async_trait]
pub trait Guest: fmt::Debug + Send + Sync {
    /// Where it is. Asked before each attempt, also after a reboot. Must answer within seconds.
    ///
    /// # Errors
    /// When that isn't known yet; it is asked again.
    async fn address(&self) -> Result<Address, NoAddress>;

    /// Returns when the guest is no more, with the reason: `QEMU exited with code 1`. Waiting for it ends then at
    /// once. Never returns for a guest that can't be watched.
    async fn gone(&self) -> String {
        std::future::pending().await
    }
}

/// A guest that stays where it is and isn't watched.
#[async_trait]
impl Guest for Address {
    async fn address(&self) -> Result<Address, NoAddress> {
        Ok(self.clone())
    }
}
