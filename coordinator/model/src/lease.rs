//! The right to work on an attempt until a deadline.
//!
//! ```text
//!   granted ──renewed every 5 s──► the leader hears it, and the ledger nothing: see liveness
//!      │
//!      └─ nothing heard for 20 s ─► expired: the task is queued again, the epoch stands until the next grant,
//!                                   so an agent that comes back first takes its attempt up again
//! ```

use kiln_plan::id::{AgentId, AttemptId, Epoch};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How long a lease lasts without renewal, in milliseconds. A dead agent must be replaced within 25 s, which
/// leaves 5 s for noticing and assigning.
pub const LEASE_MS: u64 = 20_000;

/// How often a holder renews, in milliseconds: three renewals may be lost before the lease is.
pub const RENEW_MS: u64 = 5_000;

/// Who works on a task, until when, under which fencing number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The try that it allows.
    pub attempt: AttemptId,
    /// Who holds it.
    pub agent: AgentId,
    /// The fencing number: the stale is refused, never merged.
    pub epoch: Epoch,
    /// When it began. It has no end of its own: the leader takes it back when its holder is silent for a term.
    pub granted: Timestamp,
}

impl Lease {
    /// A lease that begins now.
    pub const fn granted(attempt: AttemptId, agent: AgentId, epoch: Epoch, now: Timestamp) -> Self {
        Self { attempt, agent, epoch, granted: now }
    }
}
