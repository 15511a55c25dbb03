//! Which processes there are, as the kernel tells in `/proc`: enough to tell a process from a later one that
//! got the same number, and to find those that carry a mark in their environment.

use std::fs;

use serde::{Deserialize, Serialize};

/// One process for good: its number, and when it started, since numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine booted (field 22 of `/proc/<pid>/stat`).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now; `None` when there is none, or it is dead and only not yet
    /// collected by its parent.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything, even parentheses.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, started) = (*fields.first()?, fields.get(19)?);
        let alive = !matches!(state, "Z" | "X");
        alive.then_some(Self { pid, started: started.parse().ok()? })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        i32::try_from(std::process::id()).ok().and_then(Self::of)
    }

    /// Whether it is still running.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The living processes whose environment, as it was when they started, holds `entry` (`NAME=value`). Processes
/// of other users can't be read and are left out.
pub fn carrying(entry: &str) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.split(|b| *b == 0).any(|one| one == entry.as_bytes()))
    };
    numbers.filter(carries).filter_map(ProcessId::of).collect()
}

/// What tells this run of the kernel from every other; empty where the kernel doesn't say.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |s| s.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_another_start_is_another_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { started: own.started + 1, ..own }.is_alive());
        assert_eq!(ProcessId::of(i32::MAX), None);
    }
}
