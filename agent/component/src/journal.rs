//! Intents that outlive a crash: what is about to be made outside of this process is written down first, so that
//! a dead agent's processes, directories and sockets are found and removed by the next one.
//!
//! ```text
//!   intend ──► (effect) ──► started ──► … ──► undone ──► clear
//!     │                        │                            │
//!     └── a crash anywhere in between: recover() takes it back from what is written
//! ```
//!
//! One file of JSON lines per attempt, in the run directory, held with a lock for as long as its owner lives; the
//! lock, and not a process number, tells whether an owner is dead. A process's intent is written before the process
//! has a number: it is found again by a mark in its environment, which its children inherit. [`Journal::close`] at the
//! end of an attempt is the same code as recovery after a crash, so that what an attempt forgot goes the same way.
//!
//! Lines are appended without waiting for the disk where the machine's own death would take the effect along;
//! only directories and files outside of the attempt's scratch wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::process::table::{self, ProcessId};

mod kernel;
mod record;
mod recovery;

use record::{Line, Open};
pub use recovery::{Outcome, Recovered};

/// The name of the environment variable by which a dead agent's processes are found.
pub const MARK: &str = "KILN_INTENT";

/// What is about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// A process, and whatever it starts.
    Process {
        /// The program, for words; never its arguments.
        program: String,
    },
    /// A directory with everything in it. Absolute.
    Directory {
        /// Where.
        path: PathBuf,
    },
    /// A file or a socket. Absolute.
    File {
        /// Where.
        path: PathBuf,
    },
    /// A network interface.
    Interface {
        /// Its name, which another may have later.
        name: String,
        /// Its alias, by which it is known to be this one.
        alias: String,
    },
    /// A control group with all its processes.
    ControlGroup {
        /// Its directory. Absolute.
        path: PathBuf,
    },
}

impl Intent {
    /// A directory with everything in it.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory { path: path.into() }
    }

    /// A file or a socket.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into() }
    }
}

/// What an attempt has made and not yet undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The numbers of its processes; each leads a group of its own.
    pub processes: BTreeSet<i32>,
    /// Its directories, perhaps one within another.
    pub directories: BTreeSet<PathBuf>,
}

/// Why an intent could not be written; what was intended must not be done then.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the journal {}", path.display())]
pub struct JournalError {
    /// What was being done.
    operation: &'static str,
    /// The journal.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

/// The intents of one attempt. Cheap to clone; all clones write to the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// `None` for a journal in memory.
    directory: Option<PathBuf>,
    leaving: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Held with a lock while this journal's owner lives.
    file: Option<File>,
    next: u64,
    open: BTreeMap<u64, Open>,
}

impl Journal {
    /// Begins a journal `<directory>/<name>.journal`, making the directory (0700) when it is missing. `name` must be
    /// unique among all attempts of the machine; `<directory>/<name>` is where the attempt's scratch belongs, and is
    /// removed with the journal.
    ///
    /// # Errors
    /// When the file exists or can't be made.
    pub fn open(directory: &Path, name: &str) -> Result<Self, JournalError> {
        let path = directory.join(format!("{name}.journal"));
        let make = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            // Between making the file and locking it, a recovery must not take it for a dead one's.
            let gate = gate(directory)?;
            let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
            file.lock()?;
            drop(gate);
            file.write_all(Line::head().text().as_bytes())?;
            Ok(file)
        };
        let file =
            make().map_err(|source| JournalError { operation: "begin", path: path.clone(), source })?;
        Ok(Self::with(name, Some(directory.to_owned()), Some(file)))
    }

    /// A journal that is not written anywhere: for checks and tests, where nobody recovers.
    pub fn in_memory() -> Self {
        // Marks must differ between the journals of this process as well.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::with(&format!("memory-{}-{number}", std::process::id()), None, None)
    }

    fn with(name: &str, directory: Option<PathBuf>, file: Option<File>) -> Self {
        let state = Mutex::new(State { file, next: 0, open: BTreeMap::new() });
        let leaving = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { name: name.to_owned(), directory, leaving, state }) }
    }

    /// Writes down what is about to be made.
    ///
    /// # Errors
    /// When it could not be written; don't make it then.
    pub fn intend(&self, intent: Intent) -> Result<Entry, JournalError> {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let result = self.append(&mut state, &Line::Intended { id, intent: intent.clone() });
        let synced = result.and_then(|()| match &state.file {
            Some(file) if self.outlives_the_machine(&intent) => file.sync_data(),
            _ => Ok(()),
        });
        synced.map_err(|source| JournalError { operation: "append to", path: self.path(), source })?;
        state.open.insert(id, Open { intent, process: None });
        Ok(Entry { journal: self.clone(), id })
    }

    /// What is there of what was intended.
    pub fn effects(&self) -> Effects {
        let mut effects = Effects::default();
        for open in self.state().open.values() {
            match &open.intent {
                Intent::Process { .. } => effects.processes.extend(open.process.map(|process| process.pid)),
                Intent::Directory { path } => drop(effects.directories.insert(path.clone())),
                Intent::File { .. } | Intent::Interface { .. } | Intent::ControlGroup { .. } => {}
            }
        }
        effects
    }

    /// From now on nothing is taken back, neither by dropping nor by closing: `-on-error=abort`, after which a person
    /// wants to look at what is there.
    pub fn leave_everything(&self) {
        self.shared.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether [`Journal::leave_everything`] was called.
    pub fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::SeqCst)
    }

    /// Takes back whatever is still open (unless everything is to be left) and removes the journal. Tells what was
    /// left over. Takes at most about ten seconds for processes, and as long as removing directories takes.
    pub async fn close(self) -> Vec<Recovered> {
        let (open, file) = {
            let mut state = self.state();
            (std::mem::take(&mut state.open), state.file.take())
        };
        if self.is_leaving() {
            self.remove_file();
            return Vec::new();
        }
        let recovered = recovery::take_back(&self.shared.name, open).await;
        if let Some(directory) = &self.shared.directory {
            recovery::remove_scratch(&directory.join(&self.shared.name)).await;
        }
        self.remove_file();
        drop(file);
        recovered
    }

    /// Takes back what dead owners of journals in `directory` left behind, and tells what it was. Journals whose
    /// owners live are left alone. A missing directory has nothing to recover.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub async fn recover(directory: &Path) -> Result<Vec<Recovered>, JournalError> {
        recovery::recover(directory).await.map_err(|source| JournalError {
            operation: "recover",
            path: directory.to_owned(),
            source,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves at worst an intent too many.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, state: &mut State, line: &Line) -> io::Result<()> {
        match &mut state.file {
            Some(file) => file.write_all(line.text().as_bytes()),
            None => Ok(()),
        }
    }

    fn outlives_the_machine(&self, intent: &Intent) -> bool {
        let within = |path: &Path| self.shared.directory.as_ref().is_some_and(|d| path.starts_with(d));
        match intent {
            Intent::Process { .. } | Intent::Interface { .. } | Intent::ControlGroup { .. } => false,
            Intent::Directory { path } | Intent::File { path } => !within(path),
        }
    }

    fn path(&self) -> PathBuf {
        let directory = self.shared.directory.clone().unwrap_or_default();
        directory.join(format!("{}.journal", self.shared.name))
    }

    fn remove_file(&self) {
        if self.shared.directory.is_none() {
            return;
        }
        if let Err(error) = fs::remove_file(self.path()) {
            tracing::warn!(journal = %self.path().display(), %error, "cannot remove a journal");
        }
    }
}

/// An open intent. Dropping it keeps it open: what it names is then taken back when the journal closes.
#[derive(Debug)]
#[must_use = "what an entry that is never cleared names is taken back when the journal closes"]
pub struct Entry {
    journal: Journal,
    id: u64,
}

impl Entry {
    /// The environment variable that the intended process must carry.
    pub fn mark(&self) -> (&'static str, String) {
        (MARK, mark(&self.journal.shared.name, self.id))
    }

    /// Notes the number of the intended process.
    ///
    /// # Errors
    /// When it could not be written; the process is still found by its mark.
    pub fn started(&self, pid: u32) -> Result<(), JournalError> {
        let Some(process) = i32::try_from(pid).ok().and_then(ProcessId::of) else { return Ok(()) };
        let mut state = self.journal.state();
        if let Some(open) = state.open.get_mut(&self.id) {
            open.process = Some(process);
        }
        let line = Line::Started { id: self.id, process };
        let path = self.journal.path();
        let result = self.journal.append(&mut state, &line);
        result.map_err(|source| JournalError { operation: "append to", path, source })
    }

    /// The living processes that belong to this intent: the process itself, and those that it started.
    pub async fn processes(&self) -> Vec<ProcessId> {
        let (name, value) = self.mark();
        table::carrying(&format!("{name}={value}")).await
    }

    /// Notes that what was intended is gone again, or has become a result that is to stay.
    pub fn clear(self) {
        let mut state = self.journal.state();
        state.open.remove(&self.id);
        let result = self.journal.append(&mut state, &Line::Cleared { id: self.id });
        drop(state);
        if let Err(error) = result {
            // Harmless unless this process also dies before it closes the journal.
            tracing::warn!(journal = %self.journal.path().display(), %error, "cannot clear an intent");
        }
    }
}

fn mark(name: &str, id: u64) -> String {
    format!("{name}.{id}")
}

/// Keeps beginnings and recoveries in one directory apart. Held for milliseconds.
fn gate(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(directory.join("gate.lock"))?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
