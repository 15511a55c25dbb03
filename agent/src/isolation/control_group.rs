//! The control group of one attempt (cgroup v2): what it may use, and one handle on all its processes.
//!
//! They lie in `kiln/` at the top of the hierarchy and not in the daemon's own group, so that what ends the daemon's unit
//! doesn't end attempts. Where the kernel offers no controllers there (a container, a machine with version 1), the groups
//! only hold processes together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_component::Intent;
use kiln_component::journal::{Entry, Journal};
use kiln_plan::Requirements;

use super::IsolationError;

/// Where version 2 is mounted, alone or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What is asked for, in the order of its worth.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The most processes and threads of one attempt.
const MOST_PROCESSES: u32 = 16_384;

/// MiB beyond a guest's own memory: its devices, Kiln, and tools such as ansible.
const BESIDES_GUEST: u64 = 2_048;

/// Makes the group that holds those of attempts, with the controllers that there are.
pub(super) fn set_up() -> Result<PathBuf, IsolationError> {
    let top = MOUNTS.iter().map(Path::new).find(|top| top.join("cgroup.controllers").exists());
    let missing = || io::Error::other("control groups of version 2 are not mounted");
    let top = top.ok_or_else(|| IsolationError::system("make control groups")(missing()))?;
    let above = top.join("kiln");
    match fs::create_dir(&above) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(IsolationError::system("make control groups")(error));
        }
        _ => {}
    }
    for controller in CONTROLLERS {
        // Those that the machine doesn't hand out are done without.
        let _absent = fs::write(top.join("cgroup.subtree_control"), format!("+{controller}"));
        let _absent = fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    let got = fs::read_to_string(above.join("cgroup.subtree_control")).unwrap_or_default();
    tracing::info!(controllers = got.trim(), group = %above.display(), "attempts have control groups");
    Ok(above)
}

/// The group of this process.
pub(super) struct ControlGroup {
    path: PathBuf,
    entry: Entry,
}

impl ControlGroup {
    /// Makes one and goes into it.
    pub(super) fn enter(
        above: &Path,
        requirements: &Requirements,
        journal: &Journal,
    ) -> Result<Self, IsolationError> {
        let path = above.join(uuid::Uuid::new_v4().simple().to_string());
        let entry = journal.intend(Intent::ControlGroup { path: path.clone() })?;
        if let Err(error) = fs::create_dir(&path) {
            entry.clear();
            return Err(IsolationError::system("make a control group")(error));
        }
        for (file, limit) in limits(requirements) {
            // There only where the controller is.
            if path.join(file).exists() {
                fs::write(path.join(file), limit).map_err(IsolationError::system("limit a control group"))?;
            }
        }
        let entered = fs::write(path.join("cgroup.procs"), "0");
        entered.map_err(IsolationError::system("enter a control group"))?;
        Ok(Self { path, entry })
    }

    /// Leaves it, and removes it. One with processes in it stays for the journal.
    pub(super) fn leave(self) {
        let top = self.path.parent().and_then(Path::parent).unwrap_or(Path::new(MOUNTS[0]));
        let left = fs::write(top.join("cgroup.procs"), "0").and_then(|()| fs::remove_dir(&self.path));
        match left {
            Ok(()) => self.entry.clear(),
            Err(error) => tracing::debug!(%error, "a control group stays for now"),
        }
    }
}

/// What an attempt with these requirements may use, by file.
fn limits(requirements: &Requirements) -> Vec<(&'static str, String)> {
    let mut limits = vec![("pids.max", MOST_PROCESSES.to_string())];
    if requirements.cpus > 0 {
        limits.push(("cpu.weight", requirements.cpus.saturating_mul(100).clamp(1, 10_000).to_string()));
    }
    if requirements.memory_mib > 0 {
        let mib =
            requirements.memory_mib.saturating_add(requirements.memory_mib / 4).saturating_add(BESIDES_GUEST);
        limits.push(("memory.max", mib.saturating_mul(1 << 20).to_string()));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_requirements() {
        let told = |requirements: &Requirements| {
            limits(requirements)
                .iter()
                .map(|(file, limit)| format!("{file}={limit}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(told(&Requirements::default()), "pids.max=16384");
        let requirements = Requirements { cpus: 4, memory_mib: 4096, ..Requirements::default() };
        assert_eq!(told(&requirements), "pids.max=16384 cpu.weight=400 memory.max=7516192768");
    }
}
