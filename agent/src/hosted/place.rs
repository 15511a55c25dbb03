//! The directory of one attempt, and what lies in it.
//!
//! ```text
//!   RUN/attempts/<end of the task's id>-<epoch>/   0700
//!     about.json     which attempt it is                               stays to the end
//!     order.json     what to do, with its secrets                      until the process has read it
//!     lock           held by the process while it lives
//!     process.json   which process that is
//!     control.sock   where the process listens
//!     events/        what it says                                      crate::spool
//!     work/          where relative paths of the template resolve
//!     log            what the process writes about itself
//!     media.json     what the guest began with
//!     outcome.json   how the process ended; written in one piece
//!     told.json      what the farm is told of that, once what was made is an image of it
//! ```
//!
//! The name is short because a socket's path holds at most 107 bytes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kiln_component::Origin;
use kiln_component::process::table::ProcessId;
use kiln_plan::BuildPlan;
use kiln_plan::bundle_root::BUNDLE_ROOT;
use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AttemptId, BuildId, Epoch, TaskId};
use kiln_proto::bundle::BundleFiles;
use kiln_proto::image::InputDigest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bundle;
use super::inputs;
use super::publication;
use crate::isolation::Isolation;
use crate::link::{AttemptKey, Order};
use crate::spool::Reader;

/// The version of the files' format. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

/// The most bytes of a socket's path, as Linux has it.
const SOCKET_PATH: usize = 107;

/// The longest path of a run directory, in bytes, with which the sockets of attempts can be made.
pub const RUN_DIR_LIMIT: usize =
    SOCKET_PATH - "/attempts/0123456789ab-18446744073709551615/control.sock".len();

/// A directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The system refuses.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file doesn't hold what it should.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file was written by a later version.
    #[error("{} has format {found}, this version reads up to {FORMAT}; use a newer kiln", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl PlaceError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Which attempt it is: `about.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The build.
    pub build: BuildId,
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The fencing number.
    pub epoch: Epoch,
    /// The place of the first event.
    pub first_sequence: u64,
    /// The name that people know, and that its image gets.
    #[serde(default)]
    pub task_name: String,
    /// Where the template's relative paths resolve, below `work/`.
    #[serde(default)]
    pub working_directory: String,
    /// The digest of the template's files, when it came with them.
    #[serde(default)]
    pub bundle: Option<Fingerprint>,
    /// When it was begun, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub began_ms: u64,
    /// What went in with the order.
    #[serde(default)]
    pub inputs: Vec<InputDigest>,
}

impl About {
    /// What is written of an order for everybody to read.
    pub(super) fn of(order: &Order, files: Option<&BundleFiles>) -> Self {
        let AttemptKey { task, attempt, epoch } = order.attempt;
        let plan = &order.plan;
        let below = plan.facts.working_dir.strip_prefix(BUNDLE_ROOT).unwrap_or_default();
        Self {
            format: FORMAT,
            build: order.build,
            task,
            attempt,
            epoch,
            first_sequence: order.first_sequence,
            task_name: plan.name.clone(),
            working_directory: below.trim_start_matches('/').to_owned(),
            bundle: plan.bundle,
            began_ms: publication::now_ms(),
            inputs: inputs::of(plan, files),
        }
    }

    /// What every report carries.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey { task: self.task, attempt: self.attempt, epoch: self.epoch }
    }
}

/// What to do: `order.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestingOrder {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Where relative paths of the template resolve.
    pub working_dir: PathBuf,
    /// The machine's cache.
    pub cache_dir: PathBuf,
    /// Where the journal and the scratch directory go.
    pub run_dir: PathBuf,
    /// How it is kept apart.
    #[serde(default)]
    pub isolation: Isolation,
    /// What to do.
    pub plan: BuildPlan,
}

/// How it ended: `outcome.json`, `told.json`.
#[derive(Debug, Serialize, Deserialize)]
struct RestingOutcome {
    format: u32,
    outcome: TaskOutcome,
}

/// What the guest began with: `media.json`.
#[derive(Debug, Serialize, Deserialize)]
struct RestingMedia {
    format: u32,
    media: Vec<InputDigest>,
}

/// The process: `process.json`.
#[derive(Debug, Serialize, Deserialize)]
struct RestingProcess {
    format: u32,
    process: ProcessId,
}

/// The part of every file, of whatever format, that says which format it has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// The directory of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
}

/// Held by an attempt's process while it lives, and by whoever clears up after it.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "it is held, not looked at")] File);

impl Place {
    /// The directory at this path.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory that an attempt has below `run_dir`.
    pub fn of(run_dir: &Path, key: AttemptKey) -> Self {
        // The end of the identifier is the random part of it.
        let task = key.task.0.simple().to_string();
        let name = format!("{}-{}", &task[task.len() - 12..], key.epoch.0);
        Self { directory: run_dir.join("attempts").join(name) }
    }

    /// The directories below `run_dir` with the attempts that they are of. Those that are of none, since somebody died
    /// while making them, are removed.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn all(run_dir: &Path) -> Result<Vec<(Self, About)>, PlaceError> {
        let attempts = run_dir.join("attempts");
        let list = match fs::read_dir(&attempts) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(PlaceError::io("list", &attempts)(error)),
        };
        let mut all = Vec::new();
        for entry in list {
            let place = Self::at(entry.map_err(PlaceError::io("list", &attempts))?.path());
            match place.about() {
                Ok(about) => all.push((place, about)),
                Err(error @ PlaceError::TooNew { .. }) => {
                    tracing::warn!(%error, "an attempt of a newer kiln is left alone");
                }
                Err(error) => {
                    tracing::warn!(error = kiln_plan::fault::chain(&error), "removing what is no attempt");
                    if let Err(error) = place.remove() {
                        tracing::warn!(error = kiln_plan::fault::chain(&error), "it stays");
                    }
                }
            }
        }
        Ok(all)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where events lie.
    pub fn events(&self) -> PathBuf {
        self.directory.join("events")
    }

    /// Where relative paths of the template resolve.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Where the process listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// Makes the directory, which must not exist.
    pub(super) fn make(&self, about: &About) -> Result<(), PlaceError> {
        let make = |path: &Path, recursive| {
            fs::DirBuilder::new()
                .recursive(recursive)
                .mode(0o700)
                .create(path)
                .map_err(PlaceError::io("make", path))
        };
        make(self.directory.parent().unwrap_or(&self.directory), true)?;
        make(&self.directory, false)?;
        make(&self.work(), false)?;
        self.write("about.json", about)
    }

    /// Lays out the files that the attempt works in.
    pub(super) fn lay_out(&self, files: &BundleFiles) -> Result<(), PlaceError> {
        let work = self.work();
        bundle::lay_out(files, &work).map_err(PlaceError::io("lay out the template's files in", &work))
    }

    /// Which attempt it is.
    ///
    /// # Errors
    /// When it doesn't tell.
    pub fn about(&self) -> Result<About, PlaceError> {
        self.read("about.json")
    }

    pub(super) fn write_order(&self, order: &RestingOrder) -> Result<(), PlaceError> {
        self.write("order.json", order)
    }

    /// Reads the order and removes it, since it holds secrets.
    pub(super) fn take_order(&self) -> Result<RestingOrder, PlaceError> {
        let order = self.read("order.json");
        self.remove_order()?;
        order
    }

    pub(super) fn remove_order(&self) -> Result<(), PlaceError> {
        let path = self.directory.join("order.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PlaceError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Notes what the guest began with, before the outcome.
    pub(super) fn write_media(&self, media: Vec<Origin>) -> Result<(), PlaceError> {
        let digest = |Origin { name, digest, size }| InputDigest { name, digest, size };
        let media = media.into_iter().map(digest).collect();
        self.write("media.json", &RestingMedia { format: FORMAT, media })
    }

    /// What the guest began with; nothing when an attempt of an older kiln didn't note it.
    pub(super) fn media(&self) -> Result<Vec<InputDigest>, PlaceError> {
        match self.read("media.json") {
            Ok(RestingMedia { media, .. }) => Ok(media),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_outcome(&self, outcome: &TaskOutcome) -> Result<(), PlaceError> {
        self.write("outcome.json", &RestingOutcome { format: FORMAT, outcome: outcome.clone() })
    }

    /// How the process ended; `None` when nobody wrote that down.
    pub(super) fn outcome(&self) -> Result<Option<TaskOutcome>, PlaceError> {
        self.read_outcome("outcome.json")
    }

    /// Notes what the farm is about to be told.
    pub(super) fn write_told(&self, outcome: &TaskOutcome) -> Result<(), PlaceError> {
        self.write("told.json", &RestingOutcome { format: FORMAT, outcome: outcome.clone() })
    }

    /// What the farm may have been told; `None` when it was told nothing.
    pub(super) fn told(&self) -> Result<Option<TaskOutcome>, PlaceError> {
        self.read_outcome("told.json")
    }

    fn read_outcome(&self, name: &str) -> Result<Option<TaskOutcome>, PlaceError> {
        match self.read(name) {
            Ok(RestingOutcome { outcome, .. }) => Ok(Some(outcome)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_process(&self, process: ProcessId) -> Result<(), PlaceError> {
        self.write("process.json", &RestingProcess { format: FORMAT, process })
    }

    /// The process, if it said so.
    pub(super) fn process(&self) -> Option<ProcessId> {
        self.read("process.json").ok().map(|RestingProcess { process, .. }| process)
    }

    /// A reader of its events, from the first that is kept.
    pub fn reader(&self) -> Reader {
        let first = self.about().map_or(0, |about| about.first_sequence);
        // A directory that can't be read now is read, or complained of, later.
        Reader::open(&self.events()).ok().flatten().unwrap_or_else(|| Reader::starting(&self.events(), first))
    }

    /// A new file for what the process writes about itself.
    pub(super) fn log(&self) -> Result<File, PlaceError> {
        let path = self.directory.join("log");
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        file.map_err(PlaceError::io("open", &path))
    }

    /// Locks it; `None` when its process lives.
    pub(super) fn lock(&self) -> Result<Option<Lock>, PlaceError> {
        let path = self.directory.join("lock");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(PlaceError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(PlaceError::io("lock", &path)(error)),
        }
    }

    /// Removes it with everything in it.
    pub(super) fn remove(&self) -> Result<(), PlaceError> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PlaceError::io("remove", &self.directory)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file in one piece: it is there as a whole, or not at all.
    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<(), PlaceError> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let text =
            serde_json::to_vec(content).expect("our types have only string keys and no failing serialisers");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().map_err(PlaceError::io("write", &path))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, PlaceError> {
        let path = self.directory.join(name);
        let text = fs::read(&path).map_err(PlaceError::io("read", &path))?;
        let damaged = |path: PathBuf| move |source| PlaceError::Damaged { path, source };
        let Head { format } = serde_json::from_slice(&text).map_err(damaged(path.clone()))?;
        if format > FORMAT {
            return Err(PlaceError::TooNew { path, found: format });
        }
        serde_json::from_slice(&text).map_err(damaged(path))
    }
}
