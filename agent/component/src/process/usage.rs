//! What processes have used of the machine so far, as the kernel tells in `/proc`: so that somebody who hears nothing of
//! them knows whether they do anything. Where the kernel doesn't tell, there are no processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use super::table::ProcessId;

/// What a process has used since it started, with those of its children that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Which.
    pub process: ProcessId,
    /// Milliseconds of processors.
    pub cpu_ms: u64,
    /// Bytes read from and written to storage; 0 when that may not be known.
    pub bytes: u64,
}

/// A living process.
struct Living {
    parent: i32,
    group: i32,
    usage: Usage,
}

/// What the processes in `roots` have used, and those that they started: by descent, or by their group.
pub fn below(roots: &BTreeSet<i32>) -> Vec<Usage> {
    if roots.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let tick_ms = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    let tick_ms = 1_000 / tick_ms.unwrap_or(100).clamp(1, 1_000);
    let numbers = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let all: BTreeMap<i32, Living> = numbers.filter_map(|pid| Some((pid, living(pid, tick_ms)?))).collect();
    let belongs = |pid: i32| {
        let mut at = pid;
        // No line of descent is longer than there are processes, whatever was seen while they changed.
        for _ in 0..all.len() {
            let Some(process) = all.get(&at) else { return false };
            if roots.contains(&at) || roots.contains(&process.group) {
                return true;
            }
            at = process.parent;
        }
        false
    };
    let mut found: Vec<Usage> =
        all.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, process)| process.usage).collect();
    for usage in &mut found {
        usage.bytes = storage_bytes(usage.process.pid);
    }
    found
}

fn living(pid: i32, tick_ms: u64) -> Option<Living> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // See `ProcessId::of`: the fields from the third on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks: u64 = (14..=17).filter_map(number).sum();
    let process = ProcessId { pid, started: number(22)? };
    let usage = Usage { process, cpu_ms: ticks * tick_ms, bytes: 0 };
    Some(Living { parent: fields.get(1)?.parse().ok()?, group: fields.get(2)?.parse().ok()?, usage })
}

/// Processes of other users don't tell.
fn storage_bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let of = |line: &str| {
        let (name, value) = line.split_once(':')?;
        matches!(name, "read_bytes" | "write_bytes").then(|| value.trim().parse::<u64>().ok())?
    };
    text.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn descendants_count_and_strangers_do_not() {
        let script = "sh -c 'while :; do :; done' & echo $!; wait";
        let mut parent =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("sh is there");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line)
            .unwrap();
        let (root, child) = (i32::try_from(parent.id()).unwrap(), line.trim().parse::<i32>().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        let busy = loop {
            let found = below(&BTreeSet::from([root]));
            let busy = found.iter().find(|usage| usage.process.pid == child && usage.cpu_ms >= 200).copied();
            assert!(Instant::now() < deadline, "{found:?}");
            if let Some(busy) = busy {
                assert_eq!(found.len(), 2, "{found:?}");
                break busy;
            }
            std::thread::yield_now();
        };
        assert!(busy.process.is_alive());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
        parent.wait().unwrap();
        assert_eq!(below(&BTreeSet::from([root])), []);
        assert_eq!(below(&BTreeSet::new()), []);
    }
}
