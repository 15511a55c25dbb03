//! The end of a spool that the attempt's process writes to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_plan::EventKind;
use kiln_proto::event::Record;

use super::segment::{self, MAGIC};
use super::{Reader, SpoolError};

/// How often the progress of one bar is written at most: each is a record, and nobody sees more.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How large a spool may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together. Above half of it progress is left out, above all of it everything, which is told
    /// once there is room again.
    pub all: u64,
    /// Bytes after which a new file is begun, so that old ones can go.
    pub file: u64,
    /// How often a spool that is half full looks for room.
    pub look_every: Duration,
}

impl Default for Limits {
    /// 256 MiB in files of 4 MiB; looks every second.
    fn default() -> Self {
        Self { all: 256 << 20, file: 4 << 20, look_every: Duration::from_secs(1) }
    }
}

/// Writes the events of one attempt.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    limits: Limits,
    next: u64,
    file: File,
    file_bytes: u64,
    /// In all files, as of the last look, and what was written since.
    bytes: u64,
    looked: Instant,
    /// When the progress of each bar was written last.
    bars: BTreeMap<String, Instant>,
    /// Events that found no room since the last that did.
    pub(super) dropped: u64,
}

impl Writer {
    /// Begins a spool in `directory`, which is made (0700) when it is missing, with the place of its first event. One that
    /// is there already is continued after its last whole event.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(directory: &Path, first: u64, limits: Limits) -> Result<Self, SpoolError> {
        let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        make.map_err(SpoolError::new("make a directory for", directory))?;
        let next = match Reader::open(directory)? {
            Some(mut earlier) => earlier.end(),
            None => first,
        };
        let file = Self::begin(directory, next)?;
        let bytes = segment::total(directory).map_err(SpoolError::new("look for", directory))?;
        Ok(Self {
            directory: directory.to_owned(),
            limits,
            next,
            file,
            file_bytes: 0,
            bytes,
            looked: Instant::now(),
            bars: BTreeMap::new(),
            dropped: 0,
        })
    }

    fn begin(directory: &Path, first: u64) -> Result<File, SpoolError> {
        let path = segment::path(directory, first);
        let mut options = OpenOptions::new();
        // What an earlier writer began here without writing a whole event is nothing.
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = file.map_err(SpoolError::new("begin a file for", &path))?;
        file.write_all(&MAGIC).map_err(SpoolError::new("write", &path))?;
        Ok(file)
    }

    /// The place of the next event.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Adds an event, if there is room for it.
    ///
    /// # Errors
    /// When it can't be written; the next one may be.
    pub fn push(&mut self, at_ms: u64, kind: &EventKind) -> Result<(), SpoolError> {
        let progress = match kind {
            EventKind::Progress { label, done, total, .. } => Some((label, Some(*done) == *total)),
            _ => None,
        };
        if let Some((label, is_last)) = progress {
            let now = Instant::now();
            let soon = self.bars.get(label).is_some_and(|at| now.duration_since(*at) < PROGRESS_EVERY);
            if (soon && !is_last) || self.room() < self.limits.all / 2 {
                return Ok(());
            }
            self.bars.insert(label.clone(), now);
        } else if self.room() == 0 {
            self.dropped += 1;
            return Ok(());
        }
        if self.dropped > 0 {
            let text = format!("{} events were dropped while the coordinator was out of reach", self.dropped);
            self.write(at_ms, &EventKind::Error { speaker: None, text })?;
            self.dropped = 0;
        }
        self.write(at_ms, kind)
    }

    /// Bytes that may still be written.
    fn room(&mut self) -> u64 {
        let room = self.limits.all.saturating_sub(self.bytes);
        if room > self.limits.all / 2 || self.looked.elapsed() < self.limits.look_every {
            return room;
        }
        self.looked = Instant::now();
        if let Ok(bytes) = segment::total(&self.directory) {
            self.bytes = bytes;
        }
        self.limits.all.saturating_sub(self.bytes)
    }

    fn write(&mut self, at_ms: u64, kind: &EventKind) -> Result<(), SpoolError> {
        if self.file_bytes >= self.limits.file {
            self.file = Self::begin(&self.directory, self.next)?;
            self.file_bytes = 0;
        }
        let bytes = segment::encode(&Record::new(self.next, at_ms, kind));
        if let Err(error) = self.file.write_all(&bytes) {
            // Half a record may stand there: what follows needs a file of its own.
            self.file_bytes = self.limits.file;
            return Err(SpoolError::new("write", &self.directory)(error));
        }
        self.next += 1;
        self.file_bytes += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
