//! The end of a spool that the link reads from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_plan::EventKind;
use kiln_proto::event::Record;

use super::SpoolError;
use super::segment::{self, Cursor};
use crate::link::{Log, Room};

/// Reads the events of one attempt.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    /// The first event that may still be had.
    first: u64,
    /// Where sending is.
    at: Place,
    /// Where the end was when it was looked for last.
    tail: Place,
    /// The first event that the coordinator has not taken, as far as it has told.
    taken: u64,
    /// The first event that is not durable, as far as the coordinator has told.
    durable: u64,
    refused: bool,
    /// Whether damage was told of.
    complained: bool,
}

/// Between two events.
#[derive(Debug)]
struct Place {
    next: u64,
    /// The open file; none before the first look.
    cursor: Option<Cursor>,
}

impl Place {
    const fn at(next: u64) -> Self {
        Self { next, cursor: None }
    }

    /// The next event that is there.
    fn step(&mut self, directory: &Path) -> io::Result<Option<Record>> {
        if self.cursor.is_none() && !self.enter(directory)? {
            return Ok(None);
        }
        loop {
            let Some(cursor) = &mut self.cursor else { return Ok(None) };
            match cursor.next()? {
                // A file that was entered in its middle.
                Some(record) if record.sequence < self.next => {}
                Some(record) => {
                    self.next = record.sequence + 1;
                    return Ok(Some(record));
                }
                None => match Cursor::open(&segment::path(directory, self.next)) {
                    // The file that begins here may be the one that is open: an empty one.
                    Ok(mut following) => match following.next()? {
                        Some(record) if record.sequence == self.next => {
                            self.next = record.sequence + 1;
                            self.cursor = Some(following);
                            return Ok(Some(record));
                        }
                        _ => return Ok(None),
                    },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Opens the file in which the next event lies or will lie.
    fn enter(&mut self, directory: &Path) -> io::Result<bool> {
        let files = match segment::list(directory) {
            // The attempt's process has not begun to write.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            files => files?,
        };
        let Some(first) = files.into_iter().rev().find(|first| *first <= self.next) else {
            return Ok(false);
        };
        self.cursor = Some(Cursor::open(&segment::path(directory, first))?);
        Ok(true)
    }
}

impl Reader {
    /// A reader of the spool in `directory`; `None` when there is none yet.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(directory: &Path) -> Result<Option<Self>, SpoolError> {
        let files = match segment::list(directory) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SpoolError::new("look for", directory)(error)),
        };
        Ok(files.first().map(|first| Self::starting(directory, *first)))
    }

    /// A reader of a spool that will begin with `first`.
    pub fn starting(directory: &Path, first: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            first,
            at: Place::at(first),
            tail: Place::at(first),
            taken: first,
            durable: first,
            refused: false,
            complained: false,
        }
    }

    /// The place after the last event that is there now.
    pub fn end(&mut self) -> u64 {
        loop {
            match self.tail.step(&self.directory) {
                Ok(Some(_)) => {}
                Ok(None) => return self.tail.next,
                Err(error) => {
                    self.complain(&error);
                    return self.tail.next;
                }
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        // The attempt's process makes the directory once it is there.
        if error.kind() == io::ErrorKind::NotFound && !self.directory.exists() {
            return;
        }
        if !std::mem::replace(&mut self.complained, true) {
            tracing::error!(directory = %self.directory.display(), %error, "cannot read an attempt's events");
        }
    }

    /// Removes files all of whose events are durable; never the last, which is written to.
    fn remove_durable(&mut self) {
        let Ok(files) = segment::list(&self.directory) else { return };
        for pair in files.windows(2) {
            let [file, following] = *pair else { continue };
            if following > self.durable {
                return;
            }
            // What can't be removed now goes with the attempt.
            let _left = fs::remove_file(segment::path(&self.directory, file));
            self.first = following;
        }
    }
}

impl Log for Reader {
    /// The attempt's own process writes.
    fn push(&mut self, _at_ms: u64, _kind: &EventKind, _room: Room) {}

    fn send(&mut self, room: &mut usize) -> Vec<Record> {
        let mut batch = Vec::new();
        while !self.refused && *room > 0 {
            match self.at.step(&self.directory) {
                Ok(Some(record)) => {
                    *room = room.saturating_sub(record.size());
                    batch.push(record);
                }
                Ok(None) => break,
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        batch
    }

    fn taken(&mut self, next: u64) {
        self.taken = self.taken.max(next);
        if next > self.at.next {
            self.at = Place::at(next);
        }
    }

    fn durable(&mut self, next: u64) {
        self.taken(next);
        if next > self.durable {
            self.durable = next;
            self.remove_durable();
        }
    }

    fn refuse(&mut self) {
        self.refused = true;
    }

    fn rewind(&mut self) {
        self.at = Place::at(self.first.max(self.durable));
    }

    fn said(&mut self) -> Option<u64> {
        (!self.refused).then(|| self.end())
    }

    fn is_flushed(&mut self) -> bool {
        self.refused || self.taken >= self.end()
    }

    fn is_settled(&mut self) -> bool {
        self.refused || self.durable >= self.end()
    }

    /// Files take none.
    fn bytes(&self) -> usize {
        0
    }
}
