//! The directory of a template as one value, named by its content: what a farm evaluates and its agents work in.
//!
//! ```text
//!   files ──► pack: record(format, zstd(tar)) ──► wire, store ──► unpack: every entry is looked at ──► files
//!     └── digest: of names, modes and contents, in order; the same wherever it is reckoned
//! ```
//!
//! What comes in a bundle is a stranger's: a name that leads out of it, a link that does, a device, a name that comes
//! twice or an archive that swells beyond its bounds is refused, before anything of it is written anywhere.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use kiln_plan::fingerprint::Fingerprint;
use prost::bytes::Bytes;

mod entry_path;
#[cfg(test)]
mod tests;

pub use entry_path::PathProblem;

use crate::rest::{self, OpenRecordError};

/// The format that is written, and the latest that is read.
const FORMAT: u32 = 1;

/// The most bytes of all files of a bundle together.
pub const LARGEST_BUNDLE: u64 = 512 << 20;

/// The most files and links of a bundle.
pub const MOST_ENTRIES: usize = 50_000;

/// The files of a bundle by their names: relative, with forward slashes, in the order of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleFiles {
    entries: BTreeMap<String, Entry>,
    bytes: u64,
}

/// One file or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// What is in it.
        contents: Bytes,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, relative to its own directory; never out of the bundle.
        target: String,
    },
}

/// A bundle could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A name or a link is not one that a bundle may have.
    #[error("the bundle may not contain {name:?}: {problem}")]
    Path {
        /// The entry.
        name: String,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// It is too large.
    #[error(
        "the bundle has more than {} MiB; keep large files out of it with a .kilnignore file, or fetch them from the \
         template by their addresses",
        LARGEST_BUNDLE >> 20
    )]
    TooLarge,
    /// It has too many entries.
    #[error("the bundle has more than {MOST_ENTRIES} files; keep some out of it with a .kilnignore file")]
    TooMany,
    /// It is not what it says it is.
    #[error("the bundle's content is {found}, not {expected} as it was announced")]
    Digest {
        /// What was announced.
        expected: Fingerprint,
        /// What came.
        found: Fingerprint,
    },
    /// The record can't be opened.
    #[error("failed to open the bundle")]
    Record(#[source] OpenRecordError),
    /// The archive is damaged.
    #[error("failed to read the bundle's archive")]
    Archive(#[source] std::io::Error),
}

impl BundleFiles {
    /// Adds a file or link.
    ///
    /// # Errors
    /// When its name leads out of the bundle or is there already, or the bundle would be too large.
    pub fn add(&mut self, name: &str, entry: Entry) -> Result<(), BundleError> {
        let refused = |problem| BundleError::Path { name: name.to_owned(), problem };
        entry_path::check_name(name).map_err(refused)?;
        if let Entry::Link { target } = &entry {
            entry_path::check_link(name, target).map_err(refused)?;
        }
        let above = name.match_indices('/').map(|(end, _)| &name[..end]);
        if above.into_iter().any(|directory| self.entries.contains_key(directory))
            || self.below(name).next().is_some()
        {
            return Err(refused(PathProblem::NoDirectory));
        }
        if self.entries.len() >= MOST_ENTRIES {
            return Err(BundleError::TooMany);
        }
        self.bytes += entry.size();
        if self.bytes > LARGEST_BUNDLE {
            return Err(BundleError::TooLarge);
        }
        if self.entries.insert(name.to_owned(), entry).is_some() {
            return Err(refused(PathProblem::Twice));
        }
        Ok(())
    }

    /// Every entry by its name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The entries below a directory, by their whole names; all for the empty name.
    pub fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let from = self.entries.range(start.clone()..);
        from.take_while(move |(name, _)| name.starts_with(&start)).map(|(name, entry)| (name.as_str(), entry))
    }

    /// How many bytes all files have together.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name of this content.
    pub fn digest(&self) -> Fingerprint {
        let mut text = Vec::new();
        let mut part = |bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            text.extend_from_slice(bytes);
        };
        for (name, entry) in &self.entries {
            part(name.as_bytes());
            match entry {
                Entry::File { contents, executable } => {
                    part(if *executable { b"x" } else { b"f" });
                    part(Fingerprint::of_bytes(contents).to_string().as_bytes());
                }
                Entry::Link { target } => {
                    part(b"l");
                    part(target.as_bytes());
                }
            }
        }
        Fingerprint::of_bytes(&text)
    }

    /// The bundle as it travels and lies in a store.
    ///
    /// # Errors
    /// When it could not be compressed, which means that memory ran out.
    pub fn pack(&self) -> Result<Vec<u8>, BundleError> {
        let encoder = zstd::Encoder::new(Vec::new(), 0).map_err(BundleError::Archive)?;
        let mut archive = tar::Builder::new(encoder);
        for (name, entry) in &self.entries {
            append(&mut archive, name, entry).map_err(BundleError::Archive)?;
        }
        let encoder = archive.into_inner().map_err(BundleError::Archive)?;
        let body = encoder.finish().map_err(BundleError::Archive)?;
        Ok(rest::seal(FORMAT, body))
    }

    /// The files of a packed bundle, if they are those that `expected` names.
    ///
    /// # Errors
    /// When the record or the archive is damaged, too large, contains what a bundle may not, or is another one.
    pub fn unpack(record: &[u8], expected: Fingerprint) -> Result<Self, BundleError> {
        let (_, body) = rest::open("bundle", FORMAT, record).map_err(BundleError::Record)?;
        let decoder = zstd::Decoder::new(&body[..]).map_err(BundleError::Archive)?;
        // Headers and padding come on top of the files; beyond that it is no bundle that anybody packed.
        let most = LARGEST_BUNDLE + (MOST_ENTRIES as u64) * 4096;
        let mut archive = tar::Archive::new(decoder.take(most));
        let mut files = Self::default();
        for entry in archive.entries().map_err(BundleError::Archive)? {
            let (name, entry) = read(entry.map_err(BundleError::Archive)?)?;
            files.add(&name, entry)?;
        }
        let found = files.digest();
        if found != expected {
            return Err(BundleError::Digest { expected, found });
        }
        Ok(files)
    }
}

impl Entry {
    fn size(&self) -> u64 {
        match self {
            Self::File { contents, .. } => contents.len() as u64,
            Self::Link { target } => target.len() as u64,
        }
    }
}

/// Appends with nothing of the machine that it comes from: neither times nor owners.
fn append(archive: &mut tar::Builder<impl Write>, name: &str, entry: &Entry) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    match entry {
        Entry::File { contents, executable } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_size(contents.len() as u64);
            archive.append_data(&mut header, name, &contents[..])
        }
        Entry::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, name, target)
        }
    }
}

fn read(mut entry: tar::Entry<'_, impl Read>) -> Result<(String, Entry), BundleError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    match entry.header().entry_type() {
        tar::EntryType::Regular => {
            if entry.size() > LARGEST_BUNDLE {
                return Err(BundleError::TooLarge);
            }
            let executable = entry.header().mode().map_err(BundleError::Archive)? & 0o100 != 0;
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).map_err(BundleError::Archive)?;
            Ok((name, Entry::File { contents: contents.into(), executable }))
        }
        tar::EntryType::Symlink => {
            let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
            Ok((name, Entry::Link { target: target.unwrap_or_default() }))
        }
        _ => Err(BundleError::Path { name, problem: PathProblem::Kind }),
    }
}
