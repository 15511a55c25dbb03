//! Attempts kept apart from each other and from their machine, as far as the machine lets them: a network and a control
//! group of their own. For root on Linux; elsewhere attempts share what there is, and the agent says so.
//!
//! ```text
//!   machine ───── kiln7 10.213.0.29/30 ═══ eth0 10.213.0.30 ─── attempt's network: its servers, VNC, guests (slirp)
//!      │            │                                            (its own loopback; nothing of the machine's)
//!      │            └ firewall: out with the machine's address; not to the machine, not to other attempts
//!      └ control group kiln/<attempt>: memory, processes, share of the processors
//! ```
//!
//! The daemon prepares what all share ([`Isolation::prepare`]); each attempt's process makes its own ([`Confined`]), journalled
//! before it is made. The network is that of a thread of the process and of what it starts: when the last of them
//! is gone, the kernel removes it with all its interfaces.

use std::io;
use std::path::PathBuf;

use kiln_component::journal::{Journal, JournalError};
use kiln_plan::Requirements;
use serde::{Deserialize, Serialize};

mod command;
mod control_group;
mod firewall;
mod network;

use control_group::ControlGroup;

/// What keeps attempts of this machine apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Each has a network of its own.
    pub network: bool,
    /// Each has a control group of its own, below this one.
    pub control_groups: Option<PathBuf>,
}

/// An attempt can't be kept apart, although the agent promises it.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// The system refuses.
    #[error("cannot {operation}")]
    System {
        /// What was being done.
        operation: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be announced.
    #[error("cannot keep an attempt apart without a journal")]
    Journal(#[from] JournalError),
    /// There is no interface left.
    #[error("all networks for attempts are taken")]
    NoRoom,
}

impl IsolationError {
    fn system(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

impl Isolation {
    /// Prepares what all attempts share, as far as it can be had; what can't is told in the log. Blocks for a moment.
    pub fn prepare() -> Self {
        if !nix::unistd::geteuid().is_root() {
            tracing::info!(
                "attempts share the machine's network and have no control groups: the agent isn't root"
            );
            return Self::default();
        }
        let network = firewall::set_up().and_then(|()| network::can_be_made());
        if let Err(error) = &network {
            let error = kiln_plan::fault::chain(error);
            tracing::warn!(error, "attempts share the machine's network");
        }
        let control_groups = control_group::set_up();
        if let Err(error) = &control_groups {
            let error = kiln_plan::fault::chain(error);
            tracing::warn!(error, "attempts have no control groups");
        }
        Self { network: network.is_ok(), control_groups: control_groups.ok() }
    }

    /// What the agent's label `isolation` says: `network+cgroup`, `network`, `cgroup` or `none`.
    pub const fn label(&self) -> &'static str {
        match (self.network, self.control_groups.is_some()) {
            (true, true) => "network+cgroup",
            (true, false) => "network",
            (false, true) => "cgroup",
            (false, false) => "none",
        }
    }

    /// Does `work` kept apart, on a thread of its own whose children share its lot. Call it while there is only one
    /// thread.
    ///
    /// # Errors
    /// When it can't be kept apart; then nothing was done.
    pub fn confine<T: Send>(
        &self,
        requirements: &Requirements,
        journal: &Journal,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, IsolationError> {
        let group = match &self.control_groups {
            Some(above) => Some(ControlGroup::enter(above, requirements, journal)?),
            None => None,
        };
        let done = if self.network { network::within(journal, work) } else { Ok(work()) };
        if let Some(group) = group {
            group.leave();
        }
        done
    }
}

#[cfg(test)]
mod tests;
