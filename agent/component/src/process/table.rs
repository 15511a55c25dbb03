//! Which processes there are, as the kernel tells in `/proc`: enough to tell a process from a later one that
//! got the same number, and to find those that carry a mark in their environment.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One process for good: its number, and when it started, since numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine booted (field 22 of `/proc/<pid>/stat`).
    pub started: u64,
}

/// How often [`carrying`] looks at most, and how long it waits in between: a second in all, where the kernel takes
/// microseconds, or as long as reading a program's first bytes from a disk.
pub const LOOKS: u32 = 100;
const MOMENT: Duration = Duration::from_millis(10);

/// As how many programs in a row one process is looked at, at most.
const PROGRAMS: u32 = 4;

/// More than environments usually have; the kernel allows some MiB.
const USUAL_BYTES: usize = 256 << 10;

/// The kernel's `PF_KTHREAD`.
const OF_THE_KERNEL: u64 = 0x0020_0000;

/// What `/proc/<pid>/stat` says.
#[derive(Clone, Copy)]
struct Stat {
    id: ProcessId,
    is_alive: bool,
    is_of_the_kernel: bool,
}

impl Stat {
    fn read(table: &Path, pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(table.join(format!("{pid}/stat"))).ok()?;
        // The second field is the program's name in parentheses and may hold anything, even parentheses.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, flags, started) = (*fields.first()?, fields.get(6)?, fields.get(19)?);
        Some(Self {
            id: ProcessId { pid, started: started.parse().ok()? },
            is_alive: !matches!(state, "Z" | "X"),
            is_of_the_kernel: flags.parse::<u64>().ok()? & OF_THE_KERNEL != 0,
        })
    }

    fn living(self) -> Option<ProcessId> {
        self.is_alive.then_some(self.id)
    }
}

impl ProcessId {
    /// The process that has this number now; `None` when there is none, or it is dead and only not yet
    /// collected by its parent.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(Path::new("/proc"), pid).and_then(Stat::living)
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
/// of other users can't be read and are left out. Those that are just becoming another program are waited for, at most
/// [`LOOKS`] times a moment, since they show no environment at all.
pub async fn carrying(entry: &str) -> Vec<ProcessId> {
    carrying_in(Path::new("/proc"), entry).await
}

async fn carrying_in(table: &Path, entry: &str) -> Vec<ProcessId> {
    let mut tick = tokio::time::interval(MOMENT);
    let mut look = Look::default();
    for _ in 0..LOOKS {
        tick.tick().await;
        look = Look::at(table, entry);
        if !look.is_blurred {
            break;
        }
    }
    look.found
}

/// What one look at the table shows.
#[derive(Default)]
struct Look {
    found: Vec<ProcessId>,
    /// Whether somebody was between two programs.
    is_blurred: bool,
}

impl Look {
    fn at(table: &Path, entry: &str) -> Self {
        let mut look = Self::default();
        let Ok(entries) = fs::read_dir(table) else { return look };
        for pid in entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()) {
            match carries(table, pid, entry) {
                Some(true) => look.found.extend(Stat::read(table, pid).and_then(Stat::living)),
                Some(false) => {}
                None => look.is_blurred = true,
            }
        }
        look
    }
}

/// Whether a process has `entry` in its environment; `None` while it is becoming another program.
fn carries(table: &Path, pid: i32, entry: &str) -> Option<bool> {
    let read = |file: &str| read_at_once(&table.join(format!("{pid}/{file}")));
    let holds = |all: &[u8]| all.split(|b| *b == 0).any(|one| one == entry.as_bytes());
    // Between two programs it has no arguments either. Where it has some, the look may have been at the program before,
    // which was gone before it was read.
    for _ in 0..PROGRAMS {
        match read("environ") {
            Ok(environment) if environment.is_empty() => {}
            environment => return Some(environment.is_ok_and(|all| holds(&all))),
        }
        let may_change = Stat::read(table, pid).is_some_and(|stat| stat.is_alive && !stat.is_of_the_kernel);
        if !may_change {
            return Some(false);
        }
        if read("cmdline").is_ok_and(|all| all.is_empty()) {
            return None;
        }
    }
    Some(false)
}

/// The whole file, as far as it fits by one call: a file of a process ends in the middle when the process becomes another
/// program between two calls.
fn read_at_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut all, mut length) = (vec![0; USUAL_BYTES], 0);
    loop {
        match file.read(&mut all[length..])? {
            0 => break,
            more => length += more,
        }
        if length == all.len() {
            all.resize(length * 2, 0);
        }
    }
    all.truncate(length);
    Ok(all)
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

    /// A process of a table that is made up.
    fn write(table: &Path, pid: i32, [flags, environment, arguments]: [&str; 3]) {
        let place = table.join(pid.to_string());
        fs::create_dir_all(&place).unwrap();
        let stat = format!("{pid} (a) name)) S 1 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0");
        fs::write(place.join("stat"), stat).unwrap();
        fs::write(place.join("environ"), environment).unwrap();
        fs::write(place.join("cmdline"), arguments).unwrap();
    }

    #[tokio::test]
    async fn a_process_between_two_programs_is_waited_for() {
        let table = tempfile::tempdir().unwrap();
        write(table.path(), 11, ["0", "", ""]);
        write(table.path(), 12, ["0", "A=1\0MARK=xy\0", "other"]);
        // The first look happens before it is the second program.
        let (found, ()) = tokio::join!(carrying_in(table.path(), "MARK=x"), async {
            write(table.path(), 11, ["0", "A=1\0MARK=x\0", "sleep"]);
        });
        assert_eq!(found, [ProcessId { pid: 11, started: 77 }]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end_nor_without_a_reason() {
        let table = tempfile::tempdir().unwrap();
        let waited = async || {
            let begun = tokio::time::Instant::now();
            assert_eq!(carrying_in(table.path(), "MARK=x").await, []);
            begun.elapsed()
        };
        write(table.path(), 2, ["2129984", "", ""]);
        write(table.path(), 13, ["0", "", "no environment"]);
        assert_eq!(waited().await, Duration::ZERO, "a thread of the kernel, and one that has no environment");
        write(table.path(), 14, ["0", "", ""]);
        assert_eq!(waited().await, MOMENT * (LOOKS - 1), "one that never becomes another");
    }
}
