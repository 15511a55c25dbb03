//! Whether an attempt that says nothing gets anywhere. An installer may be silent for an hour, and a guest that hangs is
//! silent too; what tells them apart, whatever builds, is what the attempt's processes and files do.
//!
//! ```text
//!   every 5 s:  journal ──► its processes, and what they started ──► bytes read and written, processor time
//!                       └─► its directories (scratch, output) ─────► bytes that files take
//!                                     │
//!     in the last minute 256 KiB, or 12 s of processors ──► it moves      a guest that only computes
//!     less: clocks, logs, an idle kernel ──► it doesn't                   moves for an hour at most
//! ```
//!
//! A guest that waits at a boot loader's prompt, or whose kernel has given up, often turns a processor as fast as one
//! that works. Work of an hour without a byte written is rarer than that, hence the last rule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_component::process::table::ProcessId;
use kiln_component::process::usage::{self, Usage};
use kiln_component::{Journal, Reporter};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Over how long it is summed up.
const WINDOW: Duration = Duration::from_secs(60);

/// The fewest bytes in a window that count.
const BYTES: u64 = 256 << 10;

/// The least processor time in a window that counts, in milliseconds: a fifth of one processor. Idle guests take less,
/// emulated ones too.
const CPU_MS: u64 = 12_000;

/// How long after the last bytes processor time counts.
const CPU_ALONE: Duration = Duration::from_secs(3_600);

/// The most files that are looked at each time.
const MOST_FILES: usize = 10_000;

/// Tells `reporter` while the attempt of this journal gets somewhere. Never ends. With `own_process` this process is the
/// attempt's alone, and counts.
pub(super) async fn watch(journal: Journal, own_process: bool, reporter: Reporter) {
    let begun = Instant::now();
    let mut meter = Meter::default();
    let mut motion = Motion::default();
    loop {
        let journal = journal.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let look = look(&journal, own_process);
            meter.read(&look);
            meter
        });
        // It doesn't panic; if it did, the attempt would merely be silent.
        let Ok(read) = looked.await else { return };
        meter = read;
        if motion.goes_on(begun.elapsed(), meter.total) {
            reporter.moved();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What an attempt's processes and files look like.
#[derive(Debug, Default)]
struct Look {
    processes: Vec<Usage>,
    allocated: u64,
}

fn look(journal: &Journal, own_process: bool) -> Look {
    let effects = journal.effects();
    let mut roots: BTreeSet<i32> = effects.processes;
    roots.extend(own_process.then(ProcessId::own).flatten().map(|own| own.pid));
    let mut left = MOST_FILES;
    let allocated = effects.directories.iter().map(|path| allocated(path, &mut left)).sum();
    Look { processes: usage::below(&roots), allocated }
}

/// Bytes that the files of a directory take, of at most so many.
fn allocated(directory: &Path, left: &mut usize) -> u64 {
    let mut bytes = 0;
    let mut waiting: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            if *left == 0 {
                return bytes;
            }
            *left -= 1;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                bytes += metadata.blocks() * 512;
            }
        }
    }
    bytes
}

/// How much was done since the attempt began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    cpu_ms: u64,
    bytes: u64,
}

/// Adds up what was done, though processes come and go.
#[derive(Debug, Default)]
struct Meter {
    seen: BTreeMap<(i32, u64), Usage>,
    allocated: u64,
    total: Total,
}

impl Meter {
    fn read(&mut self, look: &Look) {
        let mut written = 0;
        let mut seen = BTreeMap::new();
        for usage in &look.processes {
            let key = (usage.process.pid, usage.process.started);
            let before = self.seen.get(&key);
            self.total.cpu_ms += usage.cpu_ms.saturating_sub(before.map_or(0, |before| before.cpu_ms));
            written += usage.bytes.saturating_sub(before.map_or(0, |before| before.bytes));
            seen.insert(key, *usage);
        }
        // The same bytes are seen twice; where the system doesn't count them, or has them in memory only, once.
        self.total.bytes += written.max(look.allocated.saturating_sub(self.allocated));
        (self.seen, self.allocated) = (seen, look.allocated);
    }
}

/// Judges by the last minute.
#[derive(Debug, Default)]
struct Motion {
    looks: VecDeque<(Duration, Total)>,
    /// When bytes moved last.
    bytes_at: Duration,
}

impl Motion {
    /// Whether the attempt gets somewhere, `at` so long after its beginning.
    fn goes_on(&mut self, at: Duration, total: Total) -> bool {
        self.looks.push_back((at, total));
        while self.looks.get(1).is_some_and(|(second, _)| *second + WINDOW <= at) {
            self.looks.pop_front();
        }
        let Some((from, base)) = self.looks.front() else { return false };
        // Whoever was stopped for a while looks back on more than a window.
        let span = u64::try_from((at - *from).max(WINDOW).as_millis()).unwrap_or(u64::MAX);
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        let needed = |of: u64| of.saturating_mul(span) / window;
        if total.bytes - base.bytes >= needed(BYTES) {
            self.bytes_at = at;
            return true;
        }
        total.cpu_ms - base.cpu_ms >= needed(CPU_MS) && at - self.bytes_at <= CPU_ALONE
    }
}

#[cfg(test)]
mod tests;
