//! A look around at the start: what the machine is made of, and which programs it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::accelerator::{self, Accelerator};
use super::tools;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Logical processors.
    pub cpus: u32,
    /// MiB of memory; 0 when the kernel doesn't tell.
    pub memory_mib: u64,
    /// Of the processor, as Rust spells it.
    pub arch: String,
    /// What lets guests of that architecture run on the processor itself, as QEMU spells it: `kvm`.
    pub accelerators: BTreeSet<String>,
    /// MiB free in the run directory; 0 when the kernel doesn't tell.
    pub disk_mib: u64,
    /// Programs with their versions.
    pub tools: BTreeMap<String, String>,
}

/// Looks. Takes a few seconds the first time, since accelerators are tried; `cache_dir` remembers.
pub async fn look(run_dir: &Path, cache_dir: &Path) -> Survey {
    let arch = std::env::consts::ARCH;
    let qemu = kiln_component::process::find(&format!("qemu-system-{arch}"));
    let accelerators = async {
        let Some(qemu) = qemu else { return BTreeSet::new() };
        let choice = accelerator::choose(&qemu, cache_dir).await;
        tracing::info!(accelerator = %choice.accelerator, reason = choice.reason, "how guests run here");
        let real = !matches!(choice.accelerator, Accelerator::Tcg | Accelerator::None);
        real.then(|| choice.accelerator.name().to_owned()).into_iter().collect()
    };
    let (accelerators, tools) = tokio::join!(accelerators, tools::find());
    Survey {
        cpus: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_mib: std::fs::read_to_string("/proc/meminfo").map_or(0, |text| memory_mib(&text)),
        arch: arch.to_owned(),
        accelerators,
        disk_mib: free_mib(run_dir),
        tools,
    }
}

/// MiB that a file system has free for this user; 0 when the kernel doesn't tell.
pub fn free_mib(path: &Path) -> u64 {
    statvfs(path).map_or(0, |fs| fs.blocks_available().saturating_mul(fs.fragment_size()) >> 20)
}

fn memory_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(memory_mib("MemTotal:       16384 kB\nMemFree: 1 kB\n"), 16);
        assert_eq!(memory_mib("nonsense"), 0);
        assert!(free_mib(Path::new("/")) > 0);
        assert_eq!(free_mib(Path::new("/no/such/directory")), 0);
    }
}
