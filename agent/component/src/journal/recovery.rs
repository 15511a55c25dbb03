//! Taking back what a journal still names: processes first, since they hold files open, then files, last made
//! first.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::kernel;
use super::record::{self, FORMAT, Open};
use super::{Intent, MARK, gate, mark};
use crate::process::table::{self, ProcessId};

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end a killed process.
const KILLED: Duration = Duration::from_secs(3);

/// Something that was left behind, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What was left behind.
    pub intent: Intent,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of something left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone now.
    Removed,
    /// It could not be removed, for this reason.
    Failed(String),
}

/// A sentence for people, such as `removed the directory /x/y`.
impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, undone, what) = match &self.intent {
            Intent::Process { program } => ("stopped", "stop", format!("the process {program:?}")),
            Intent::Directory { path } => ("removed", "remove", format!("the directory {}", path.display())),
            Intent::File { path } => ("removed", "remove", format!("the file {}", path.display())),
            Intent::Interface { name, .. } => ("removed", "remove", format!("the network interface {name}")),
            Intent::ControlGroup { path } => {
                ("removed", "remove", format!("the control group {}", path.display()))
            }
        };
        match &self.outcome {
            Outcome::Removed => write!(f, "{done} {what}"),
            Outcome::Failed(why) => write!(f, "could not {undone} {what}: {why}; {undone} it by hand"),
        }
    }
}

pub(super) async fn recover(directory: &Path) -> io::Result<Vec<Recovered>> {
    let dead = match gate(directory) {
        Ok(_gate) => dead_journals(directory)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut recovered = Vec::new();
    for (path, _lock) in dead {
        recovered.extend(recover_one(&path).await?);
    }
    Ok(recovered)
}

/// Those whose owner holds no lock any more; the lock that comes with each keeps a second recovery away.
fn dead_journals(directory: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "journal") {
            continue;
        }
        let file = OpenOptions::new().append(true).open(&path)?;
        if file.try_lock().is_ok() {
            dead.push((path, file));
        }
    }
    Ok(dead)
}

async fn recover_one(path: &Path) -> io::Result<Vec<Recovered>> {
    let text = fs::read(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let open = match record::read(&String::from_utf8_lossy(&text), &table::boot_id()) {
        Ok(open) => open,
        Err(format) => {
            tracing::warn!(journal = %path.display(), format, known = FORMAT, "a newer Kiln wrote this journal");
            return Ok(Vec::new());
        }
    };
    let recovered = take_back(&name, open).await;
    remove_scratch(&path.with_extension("")).await;
    // What could not be removed now is tried again the next time.
    if recovered.iter().all(|r| r.outcome == Outcome::Removed) {
        fs::remove_file(path)?;
    }
    Ok(recovered)
}

/// Takes back all of it, and tells of what was still there.
pub(super) async fn take_back(name: &str, open: BTreeMap<u64, Open>) -> Vec<Recovered> {
    let mut recovered = stop_all(name, &open).await;
    for open in open.into_values().rev() {
        let removed = match open.intent.clone() {
            Intent::Process { .. } => continue,
            Intent::Directory { path } => blocking(move || remove_directory(&path)).await,
            Intent::File { path } => blocking(move || gone_is_fine(fs::remove_file(path))).await,
            Intent::Interface { name, alias } => kernel::remove_interface(&name, &alias).await,
            Intent::ControlGroup { path } => kernel::remove_control_group(&path).await,
        };
        let outcome = match removed {
            Ok(false) => continue,
            Ok(true) => Outcome::Removed,
            Err(e) => Outcome::Failed(e.to_string()),
        };
        recovered.push(Recovered { intent: open.intent, outcome });
    }
    recovered
}

/// The attempt's scratch, which lies beside its journal. It may exist without having been noted when the whole
/// machine went down.
pub(super) async fn remove_scratch(path: &Path) {
    let owned = path.to_owned();
    if let Err(error) = blocking(move || remove_directory(&owned)).await {
        tracing::warn!(path = %path.display(), %error, "cannot remove a dead attempt's scratch");
    }
}

async fn stop_all(name: &str, open: &BTreeMap<u64, Open>) -> Vec<Recovered> {
    let processes = open.iter().filter(|(_, o)| matches!(o.intent, Intent::Process { .. }));
    let mut stopping: Vec<(&Open, Vec<ProcessId>)> = Vec::new();
    for (id, open) in processes {
        let mut all = table::carrying(&format!("{MARK}={}", mark(name, *id))).await;
        all.extend(open.process.filter(|p| p.is_alive() && !all.contains(p)));
        stopping.push((open, all));
    }
    stopping.retain(|(_, all)| !all.is_empty());
    let everyone: Vec<ProcessId> = stopping.iter().flat_map(|(_, all)| all).copied().collect();
    if !signal(&everyone, Signal::SIGTERM, GRACE).await {
        signal(&everyone, Signal::SIGKILL, KILLED).await;
    }
    stopping
        .into_iter()
        .map(|(open, all)| {
            let outcome = match all.iter().find(|p| p.is_alive()) {
                None => Outcome::Removed,
                Some(p) => Outcome::Failed(format!("process {} does not end", p.pid)),
            };
            Recovered { intent: open.intent.clone(), outcome }
        })
        .collect()
}

/// Signals the living ones and waits until all are gone; `false` when some are left after `patience`.
///
/// They aren't our children, so there is nothing to wait on: the process table is asked again and again.
async fn signal(processes: &[ProcessId], signal: Signal, patience: Duration) -> bool {
    for process in processes.iter().filter(|p| p.is_alive()) {
        match kill(Pid::from_raw(process.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(pid = process.pid, %error, "cannot signal a left-over process"),
        }
    }
    let deadline = Instant::now() + patience;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while processes.iter().any(|p| p.is_alive()) {
        if Instant::now() >= deadline {
            return false;
        }
        tick.tick().await;
    }
    true
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn remove_directory(path: &Path) -> io::Result<bool> {
    // Whatever is written in a journal: the root and what lies directly in it are never an attempt's to remove.
    if !path.is_absolute() || path.components().count() < 3 {
        return Err(io::Error::other("refusing to remove a directory so near to the root"));
    }
    gone_is_fine(fs::remove_dir_all(path))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
