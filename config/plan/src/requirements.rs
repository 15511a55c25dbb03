//! What a machine must offer to carry out a task. Derived from the builder's config; compared by the
//! coordinator with what agents report.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a machine must offer. The default asks for nothing but a free slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// Components that the agent's catalog must contain, as `builder/qemu`.
    pub components: BTreeSet<String>,
    /// Labels that must be present with these values.
    pub labels: BTreeMap<String, String>,
    /// Logical processors the guest will use; 0 when unknown.
    pub cpus: u32,
    /// MiB of memory the guest will use; 0 when unknown.
    pub memory_mib: u64,
}
