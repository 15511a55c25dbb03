//! A machine's agent as the farm knows it.
//!
//! ```text
//!              says so                    nothing heard for 20 s
//!   Ready ◄─────────────► Draining      Ready, Draining ──────────► Lost ──── heard again ──► Ready, Draining
//!     │                      │                                       │
//!     └── says goodbye ──────┴──► Gone ◄──────── 10 min ─────────────┘        Gone ──► forgotten, or connects anew
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiln_plan::id::{AgentId, TaskId};
use kiln_plan::{Acceleration, Accelerator, Requirements};
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
    pub offer: Arc<Offer>,
    /// Where it stands.
    pub phase: AgentPhase,
    /// When a command last told of it. That it is there without news never enters the ledger.
    pub last_heard: Timestamp,
    /// The tasks whose lease it has.
    pub holds: BTreeSet<TaskId>,
    /// The room that these take.
    pub used: Room,
    /// Whether it said itself that it wants nothing new.
    pub leaving: bool,
    /// Whether an operator wants it to finish what it has and take nothing new.
    pub asked_to_drain: bool,
    /// When it last gained room or began to offer something else, in the farm's count of such gains.
    pub gained: u64,
    /// When what it should hold last changed, in the farm's count of such changes.
    pub revised: u64,
}

impl Agent {
    /// Whether it takes new tasks.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, AgentPhase::Ready)
    }

    /// How many more tasks it can take.
    pub fn free_slots(&self) -> u32 {
        self.free().slots
    }

    /// The room that is left.
    pub fn free(&self) -> Room {
        Room::offered(&self.offer).minus(&self.used)
    }

    /// Ready, or draining when itself or an operator wants that.
    pub(crate) const fn heard_phase(&self) -> AgentPhase {
        if self.leaving || self.asked_to_drain { AgentPhase::Draining } else { AgentPhase::Ready }
    }
}

/// How much can be shared out, was, or is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Tasks.
    pub slots: u32,
    /// Logical processors.
    pub cpus: u32,
    /// MiB of memory.
    pub memory_mib: u64,
    /// MiB of scratch space.
    pub disk_mib: u64,
}

impl Room {
    /// All that an agent shares out; what it doesn't count is plenty.
    pub fn offered(offer: &Offer) -> Self {
        let counted = |n: u64| if n == 0 { u64::MAX } else { n };
        Self {
            slots: offer.slots,
            cpus: if offer.cpus == 0 { u32::MAX } else { offer.cpus },
            memory_mib: counted(offer.memory_mib),
            disk_mib: counted(offer.disk_mib),
        }
    }

    /// What a task takes.
    pub const fn taken(need: &Requirements) -> Self {
        Self { slots: 1, cpus: need.cpus, memory_mib: need.memory_mib, disk_mib: need.disk_mib }
    }

    /// With as much more.
    #[must_use]
    pub const fn plus(&self, more: &Self) -> Self {
        Self {
            slots: self.slots.saturating_add(more.slots),
            cpus: self.cpus.saturating_add(more.cpus),
            memory_mib: self.memory_mib.saturating_add(more.memory_mib),
            disk_mib: self.disk_mib.saturating_add(more.disk_mib),
        }
    }

    /// With as much less, never below nothing.
    #[must_use]
    pub const fn minus(&self, less: &Self) -> Self {
        Self {
            slots: self.slots.saturating_sub(less.slots),
            cpus: self.cpus.saturating_sub(less.cpus),
            memory_mib: self.memory_mib.saturating_sub(less.memory_mib),
            disk_mib: self.disk_mib.saturating_sub(less.disk_mib),
        }
    }

    /// Whether all of `other` fits into it.
    pub const fn has(&self, other: &Self) -> bool {
        self.slots >= other.slots
            && self.cpus >= other.cpus
            && self.memory_mib >= other.memory_mib
            && self.disk_mib >= other.disk_mib
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
    /// MiB of scratch space to share out among guests; 0 when it leaves that to its users.
    #[serde(default)]
    pub disk_mib: u64,
    /// The machine's architecture, as `x86_64`; empty when it leaves that to its users.
    #[serde(default)]
    pub arch: String,
    /// What runs guest code on the machine's own processor, as `kvm`.
    #[serde(default)]
    pub accelerators: BTreeSet<String>,
}

impl Offer {
    /// Whether a task with these requirements could run here if nothing else did.
    pub fn could_meet(&self, requirements: &Requirements) -> bool {
        self.slots > 0
            && requirements.components.is_subset(&self.components)
            && requirements.labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
            && requirements.arch.as_deref().is_none_or(|arch| self.is_of(arch))
            && match &requirements.acceleration {
                Acceleration::Any | Acceleration::Preferred(_) => true,
                Acceleration::Required(accelerator) => self.has_accelerator(accelerator),
            }
            && Room::offered(self).has(&Room::taken(requirements))
    }

    /// Whether it could meet them, and better than others that could as well.
    pub fn suits(&self, requirements: &Requirements) -> bool {
        match &requirements.acceleration {
            Acceleration::Any | Acceleration::Required(_) => true,
            Acceleration::Preferred(accelerator) => self.has_accelerator(accelerator),
        }
    }

    /// Whether the machine is of that architecture, as far as it says.
    pub fn is_of(&self, arch: &str) -> bool {
        self.arch.is_empty() || self.arch == arch
    }

    /// Whether guests can run on the machine's own processor. A machine that says nothing about itself leaves
    /// that to its users.
    pub fn has_accelerator(&self, wanted: &Accelerator) -> bool {
        let says_nothing = self.arch.is_empty() && self.accelerators.is_empty();
        let right_arch = wanted.arch.as_deref().is_none_or(|arch| self.is_of(arch));
        says_nothing || (self.accelerators.contains(&wanted.name) && right_arch)
    }
}
