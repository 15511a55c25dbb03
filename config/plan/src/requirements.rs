//! What a machine must offer to carry out a task, and the terms under which it is carried out. Read off the
//! builder's config and the `*.kiln.hcl` files beside the template; compared by the coordinator with what
//! agents report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a machine must offer. The default asks for nothing but a free slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requirements {
    /// Components that the agent's catalog must contain, as `builder/qemu`.
    pub components: BTreeSet<String>,
    /// Labels that must be present with these values.
    pub labels: BTreeMap<String, String>,
    /// Logical processors the guest will use; 0 when unknown.
    pub cpus: u32,
    /// MiB of memory the guest will use; 0 when unknown.
    pub memory_mib: u64,
    /// MiB of scratch space the guest's disks may grow to; 0 when unknown.
    #[serde(default)]
    pub disk_mib: u64,
    /// The machine's own architecture, as `x86_64` or `aarch64`; `None` when any will do.
    #[serde(default)]
    pub arch: Option<String>,
    /// How much the guest needs the machine's processor to run it directly.
    #[serde(default)]
    pub acceleration: Acceleration,
    /// The project that the template's own `*.kiln.hcl` file names; what is asked for goes before it.
    #[serde(default)]
    pub project: Option<String>,
    /// Under which terms the task is carried out; says nothing about machines.
    #[serde(default)]
    pub terms: Terms,
}

impl Requirements {
    /// What is asked of machines, without project, and the terms apart from it: tasks with the same needs are alike to a
    /// scheduler, whatever their terms.
    #[must_use]
    pub fn split(self) -> (Self, Terms) {
        let terms = self.terms;
        (Self { terms: Terms::default(), project: None, ..self }, terms)
    }
}

/// How much a guest needs the machine's processor to run it directly, through `kvm` and its kin.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Acceleration {
    /// Emulation will do.
    #[default]
    Any,
    /// A machine with it is taken first.
    Preferred(Accelerator),
    /// Only a machine with it will do.
    Required(Accelerator),
}

impl Acceleration {
    /// What is preferred or required.
    pub const fn accelerator(&self) -> Option<&Accelerator> {
        match self {
            Self::Any => None,
            Self::Preferred(accelerator) | Self::Required(accelerator) => Some(accelerator),
        }
    }
}

/// A way to run guest code on the machine's own processor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Accelerator {
    /// As QEMU calls it: `kvm`, `hvf`, `whpx`, `xen`.
    pub name: String,
    /// The guest's architecture, which the machine's must equal; `None` when unknown.
    pub arch: Option<String>,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.arch {
            Some(arch) => write!(f, "{} for {arch}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The highest priority, and with a minus the lowest.
pub const HIGHEST_PRIORITY: i32 = 100;

/// The most that an attempt may take on a farm when nothing else is said, in milliseconds: four hours.
pub const DEADLINE_MS: u64 = 4 * 3_600_000;

/// How long an attempt may show no progress on a farm when nothing else is said, in milliseconds: half an hour.
pub const NO_PROGRESS_MS: u64 = 30 * 60_000;

/// The terms under which a task is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Terms {
    /// From −100 to 100, higher first, within a project. Added to the build's.
    pub priority: i32,
    /// The most that one attempt may take, in milliseconds, from when an agent is given it. Waiting for an
    /// agent doesn't count. In a plan, `None` leaves it to the farm; in a farm, it means no bound.
    pub deadline_ms: Option<u64>,
    /// How long an attempt may show no progress, in milliseconds; `None` as above.
    pub no_progress_ms: Option<u64>,
}

impl Terms {
    /// With a farm's own limits where nothing is said.
    #[must_use]
    pub fn or(self, deadline_ms: Option<u64>, no_progress_ms: Option<u64>) -> Self {
        Self {
            deadline_ms: self.deadline_ms.or(deadline_ms),
            no_progress_ms: self.no_progress_ms.or(no_progress_ms),
            ..self
        }
    }
}
