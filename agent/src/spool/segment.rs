//! One file of a spool, and its records at rest.
//!
//! ```text
//!   kilnev 0 1 │ length u32 │ check u32 │ sequence u64 │ at_ms u64 │ body …  │ length …
//!   magic        of the rest ──────────► ◄──────── length bytes ──────────►     all little-endian
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kiln_proto::event::Record;

/// What a file begins with; its last two bytes are the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"kilnev\x00\x01";

/// Length and check sum.
const HEAD: usize = 8;

/// Sequence and time.
const FIXED: usize = 16;

/// No event is longer; a larger number is damage.
const LONGEST: usize = 64 << 20;

const EXTENSION: &str = "events";

/// Where the file whose first event has this place lies.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.{EXTENSION}"))
}

/// The places of the first events of all files, in order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == EXTENSION) {
            all.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// How many bytes all files take.
pub(super) fn total(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for first in list(directory)? {
        // One may be removed meanwhile.
        bytes += fs::metadata(path(directory, first)).map_or(0, |m| m.len());
    }
    Ok(bytes)
}

/// A record as it is written.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut rest = Vec::with_capacity(FIXED + record.body.len());
    rest.extend(record.sequence.to_le_bytes());
    rest.extend(record.at_ms.to_le_bytes());
    rest.extend(&record.body[..]);
    let mut all = Vec::with_capacity(HEAD + rest.len());
    all.extend(u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes());
    all.extend(check(&rest).to_le_bytes());
    all.extend(rest);
    all
}

fn check(bytes: &[u8]) -> u32 {
    let hash = blake3::hash(bytes);
    number(hash.as_bytes())
}

/// The number that bytes begin with; missing ones are zero.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |all, byte| (all << 8) | u32::from(*byte))
}

fn long_number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |all, byte| (all << 8) | u64::from(*byte))
}

/// A place in a file from which records are read.
#[derive(Debug)]
pub(super) struct Cursor {
    file: File,
    offset: u64,
}

impl Cursor {
    /// Before the first record.
    ///
    /// # Errors
    /// When there is no such file, or it has another format.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        // Fewer bytes are those of a writer that is at work.
        if !MAGIC.starts_with(&magic) {
            return Err(io::Error::other("it has a format that this version doesn't know"));
        }
        Ok(Self { file, offset: MAGIC.len() as u64 })
    }

    /// The next record; `None` when it isn't there, or not all of it.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let Some(head) = exactly(&mut self.file, HEAD)? else { return Ok(None) };
        let length = usize::try_from(number(&head)).unwrap_or(usize::MAX);
        if !(FIXED..=LONGEST).contains(&length) {
            return Ok(None);
        }
        let Some(rest) = exactly(&mut self.file, length)? else { return Ok(None) };
        if check(&rest) != number(&head[4..]) {
            return Ok(None);
        }
        self.offset += (HEAD + length) as u64;
        let (sequence, at_ms) = (long_number(&rest), long_number(&rest[8..]));
        Ok(Some(Record { sequence, at_ms, body: kiln_proto::Bytes::from(rest).slice(FIXED..) }))
    }
}

/// So many bytes, or `None` when there are fewer.
fn exactly(file: &mut File, count: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(count);
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok((bytes.len() == count).then_some(bytes))
}
