//! From a directory of this machine to a bundle that a farm can evaluate and work in.
//!
//! ```text
//!   working directory ┐
//!   template's place  ┴─► the nearest directory above both: the bundle's top ─► its files, less what is ignored
//! ```
//!
//! Left out are version control, what earlier runs left (`packer_cache`, `output-*`), what `.kilnignore` names, in the manner
//! of `.gitignore`, and what opens a farm ([`keys`]), which the person is told of.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use kiln_proto::bundle::{BundleError, BundleFiles, Entry, LARGEST_BUNDLE, MOST_ENTRIES};

mod keys;
#[cfg(test)]
mod tests;

/// What no farm needs; `.kilnignore` can ask for none of it back.
const NEVER: [&str; 6] = [".git", ".hg", ".svn", "packer_cache", "output-*/", ".kilnignore"];

/// Directories and other things that are looked at before there are taken to be too many files.
const MOST_WALKED: usize = 4 * MOST_ENTRIES;

/// A directory as a bundle.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Its files.
    pub(crate) files: BundleFiles,
    /// The directory from which the build was started, relative to the top.
    pub(crate) working_directory: String,
    /// What stays here because it opens a farm, relative to the top.
    pub(crate) kept_back: Vec<String>,
}

/// A directory could not be made a bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// The template shares no directory with the working directory but one that nobody would send.
    #[error(
        "the template {} and this directory have only {} in common, which is too much to send to a farm; start the build \
         from the template's directory",
        template.display(),
        common.display()
    )]
    TooWide {
        /// The template.
        template: PathBuf,
        /// The directory above both.
        common: PathBuf,
    },
    /// The template lies among the keys of a farm.
    #[error(
        "{} is the directory of a coordinator or an agent, whose keys must not be sent; put the template into a directory of its own",
        .0.display()
    )]
    OfADaemon(PathBuf),
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The directory could not be walked.
    #[error(
        "failed to list the files for the farm; name what can't be read and is not needed in a file .kilnignore, as in .gitignore"
    )]
    Walk(#[source] ignore::Error),
    /// A file can't be in a bundle.
    #[error("failed to make a bundle of {}", top.display())]
    Entry {
        /// The bundle's top.
        top: PathBuf,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// It is too large.
    #[error(
        "the files below {} are too large for a farm ({} MiB at most); the largest seen so far are {largest}; start the build from the \
         template's own directory, or name what is not needed in \
         a file .kilnignore there, as in .gitignore",
        top.display(),
        LARGEST_BUNDLE >> 20
    )]
    TooLarge {
        /// The bundle's top.
        top: PathBuf,
        /// The largest files that were seen, with their sizes.
        largest: String,
    },
    /// There are too many files.
    #[error(
        "there are too many files below {} for a farm ({MOST_ENTRIES} at most), as far as they were counted most of them in {largest}; \
         start the build from the template's own directory, or name what is not needed in a file .kilnignore there, as in \
         .gitignore",
        top.display()
    )]
    TooMany {
        /// The bundle's top.
        top: PathBuf,
        /// The directories of which most were seen, with how many.
        largest: String,
    },
}

/// Packs what the template at `template` (as named from `working_directory`) and the build need. Everything is counted before
/// anything is read.
pub(crate) fn pack(template: &str, working_directory: &Path) -> Result<Packed, PackError> {
    let top = top_of(template, working_directory)?;
    let below = working_directory.strip_prefix(&top).unwrap_or(Path::new(""));
    let working_directory = below.to_string_lossy().into_owned();
    let (mut files, (all, mut kept_back)) = (BundleFiles::default(), survey(&top)?);
    for found in all {
        let entry = entry(&found, &top)?;
        if matches!(&entry, Entry::File { contents, .. } if keys::opens_a_farm(contents)) {
            kept_back.push(found.name);
            continue;
        }
        files.add(&found.name, entry).map_err(|source| PackError::Entry { top: top.clone(), source })?;
    }
    Ok(Packed { files, working_directory, kept_back })
}

/// A file or link that belongs to a bundle.
struct Found {
    path: PathBuf,
    /// From the bundle's top.
    name: String,
    kind: Kind,
}

/// What of it was seen without reading it.
enum Kind {
    Link,
    File { size: u64, executable: bool },
}

/// Everything that belongs to a bundle, unless that is more than a bundle may have: then the walk ends where that shows. And
/// the directories of daemons that were passed by.
fn survey(top: &Path) -> Result<(Vec<Found>, Vec<String>), PackError> {
    if keys::is_of_a_daemon(top) {
        return Err(PackError::OfADaemon(top.to_owned()));
    }
    let (mut all, mut bytes) = (Vec::new(), 0);
    let (pass_by, passed_by) = channel();
    for (nth, found) in walk(top, pass_by)?.enumerate() {
        if all.len() > MOST_ENTRIES || nth > MOST_WALKED {
            return Err(too_many(&all, top));
        }
        let Some(found) = seen(&found.map_err(PackError::Walk)?, top)? else { continue };
        bytes += found.size();
        all.push(found);
        if bytes > LARGEST_BUNDLE {
            return Err(too_large(all, top));
        }
    }
    Ok((all, passed_by.iter().map(|path: PathBuf| name_of(&path, top)).collect()))
}

/// A path from the bundle's top.
fn name_of(path: &Path, top: &Path) -> String {
    path.strip_prefix(top).unwrap_or(path).to_string_lossy().into_owned()
}

impl Found {
    const fn size(&self) -> u64 {
        match self.kind {
            Kind::Link => 0,
            Kind::File { size, .. } => size,
        }
    }
}

/// A file or link as it is seen; none for directories, and for sockets and their kin, which no other machine could use.
fn seen(found: &ignore::DirEntry, top: &Path) -> Result<Option<Found>, PackError> {
    let path = found.path().to_owned();
    let unread = |source| PackError::Read { path: found.path().to_owned(), source };
    let kind = match found.file_type() {
        Some(kind) if kind.is_symlink() => Kind::Link,
        Some(kind) if kind.is_file() => {
            let metadata = path.metadata().map_err(unread)?;
            Kind::File { size: metadata.len(), executable: metadata.permissions().mode() & 0o100 != 0 }
        }
        _ => return Ok(None),
    };
    let name = name_of(&path, top);
    Ok(Some(Found { path, name, kind }))
}

/// The nearest directory above both the working directory and the template.
fn top_of(template: &str, working_directory: &Path) -> Result<PathBuf, PackError> {
    if matches!(template, "" | "-") {
        return Ok(working_directory.to_owned());
    }
    let path = working_directory.join(template);
    let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
    let common: PathBuf = working_directory
        .components()
        .zip(whole.components())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    let home = std::env::home_dir();
    if common.parent().is_none() || (common != working_directory && Some(&common) == home.as_ref()) {
        return Err(PackError::TooWide { template: whole, common });
    }
    Ok(common)
}

/// A template's path as seen from the working directory: what is absolute here is nowhere else.
pub(crate) fn relative(template: &str, working_directory: &Path) -> String {
    if !template.starts_with('/') {
        return template.to_owned();
    }
    let whole = Path::new(template).canonicalize().unwrap_or_else(|_| PathBuf::from(template));
    let mut here = working_directory.components().peekable();
    let mut there = whole.components().peekable();
    while here.peek().is_some() && here.peek() == there.peek() {
        here.next();
        there.next();
    }
    let up = here.map(|_| std::path::Component::ParentDir);
    let path: PathBuf = up.chain(there).collect();
    match path.to_string_lossy() {
        same if same.is_empty() => ".".to_owned(),
        path => path.into_owned(),
    }
}

/// Tells `pass_by` of the directories of daemons, which it doesn't enter.
fn walk(top: &Path, pass_by: Sender<PathBuf>) -> Result<ignore::Walk, PackError> {
    let mut never = OverrideBuilder::new(top);
    for name in NEVER {
        never.add(&format!("!{name}")).map_err(PackError::Walk)?;
    }
    let mut walk = WalkBuilder::new(top);
    walk.standard_filters(false)
        .add_custom_ignore_filename(".kilnignore")
        .overrides(never.build().map_err(PackError::Walk)?)
        .follow_links(false)
        .filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            let enters = !(is_directory && keys::is_of_a_daemon(entry.path()));
            if !enters {
                // Whoever walks listens until the end.
                let _heard = pass_by.send(entry.path().to_owned());
            }
            enters
        });
    Ok(walk.build())
}

/// The entry of a file or link.
fn entry(found: &Found, top: &Path) -> Result<Entry, PackError> {
    let path = &found.path;
    let unread = |source| PackError::Read { path: path.clone(), source };
    match found.kind {
        Kind::Link => linked(path, &std::fs::read_link(path).map_err(unread)?, top),
        Kind::File { executable, .. } => {
            let mut contents = Vec::new();
            let file = std::fs::File::open(path).map_err(unread)?;
            // It may have grown since it was counted.
            file.take(LARGEST_BUNDLE + 1).read_to_end(&mut contents).map_err(unread)?;
            Ok(Entry::File { contents: contents.into(), executable })
        }
    }
}

/// A link that stays in the bundle goes as a link; of one that leads out, what it leads to goes.
fn linked(path: &Path, target: &Path, top: &Path) -> Result<Entry, PackError> {
    let target = target.to_string_lossy().into_owned();
    let name = name_of(path, top);
    let link = Entry::Link { target };
    let stays = BundleFiles::default().add(&name, link.clone()).is_ok();
    if stays || !path.is_file() {
        return Ok(link);
    }
    let contents = std::fs::read(path).map_err(|source| PackError::Read { path: path.to_owned(), source })?;
    Ok(Entry::File { contents: contents.into(), executable: false })
}

fn too_large(mut all: Vec<Found>, top: &Path) -> PackError {
    all.sort_by(|a, b| (b.size(), &b.name).cmp(&(a.size(), &a.name)));
    let largest = all.iter().take(3).map(|found| format!("{} ({} MiB)", found.name, found.size() >> 20));
    PackError::TooLarge { top: top.to_owned(), largest: largest.collect::<Vec<_>>().join(", ") }
}

fn too_many(all: &[Found], top: &Path) -> PackError {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for found in all {
        let directory = found.name.split_once('/').map_or(".", |(directory, _)| directory);
        *counts.entry(directory).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let largest = counts.iter().take(3).map(|(directory, count)| format!("{directory} ({count} or more)"));
    PackError::TooMany { top: top.to_owned(), largest: largest.collect::<Vec<_>>().join(", ") }
}
