//! A machine's agent as the farm knows it.
//!
//! ```text
//!              says so                    nothing heard for 20 s
//!   Ready ◄─────────────► Draining      Ready, Draining ──────────► Lost ──── heard again ──► Ready, Draining
//!     │                      │                                       │
//!     └── says goodbye ──────┴──► Gone ◄──────── 10 min ─────────────┘        Gone ──► forgotten, or connects anew
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::Requirements;
use kiln_plan::id::{AgentId, TaskId};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How long an agent may be silent before it counts as lost, in milliseconds: the term of a lease.
pub const SILENCE_MS: u64 = crate::lease::LEASE_MS;

/// How long a lost agent is expected back, in milliseconds; as long as it keeps its guests running.
pub const LOST_MS: u64 = 600_000;

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its identifier.
    pub id: AgentId,
    /// The name shown to people, usually the machine's.
    pub name: String,
    /// What it offers.
    pub offer: Offer,
    /// Where it stands.
    pub phase: AgentPhase,
    /// When it was last heard of.
    pub last_heard: Timestamp,
    /// The tasks whose lease it has.
    pub holds: BTreeSet<TaskId>,
}

impl Agent {
    /// Whether it takes new tasks.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, AgentPhase::Ready)
    }

    /// How many more tasks it can take.
    pub fn free_slots(&self) -> u32 {
        self.offer.slots.saturating_sub(u32::try_from(self.holds.len()).unwrap_or(u32::MAX))
    }
}

/// Where an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentPhase {
    /// It takes tasks.
    Ready,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// It has not been heard of in time.
    Lost {
        /// Since when.
        since: Timestamp,
    },
    /// It left, or stayed away for too long.
    Gone {
        /// Since when.
        since: Timestamp,
    },
}

/// What an agent offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its components, as `builder/qemu`.
    pub components: BTreeSet<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Logical processors to share out among guests; 0 when it leaves that to its users.
    pub cpus: u32,
    /// MiB of memory to share out among guests; 0 when it leaves that to its users.
    pub memory_mib: u64,
}

impl Offer {
    /// Whether a task with these requirements could run here if nothing else did.
    pub fn could_meet(&self, requirements: &Requirements) -> bool {
        self.slots > 0
            && requirements.components.is_subset(&self.components)
            && requirements.labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
            && (self.cpus == 0 || requirements.cpus <= self.cpus)
            && (self.memory_mib == 0 || requirements.memory_mib <= self.memory_mib)
    }
}
