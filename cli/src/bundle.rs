//! From a directory of this machine to a bundle that a farm can evaluate and work in.
//!
//! ```text
//!   working directory ┐
//!   template's place  ┴─► the nearest directory above both: the bundle's top ─► its files, less what is ignored
//! ```
//!
//! Left out are version control, what earlier runs left (`packer_cache`, `output-*`, `*.manifest.lock`) and what
//! `.kilnignore` names, in the manner of `.gitignore`.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use kiln_proto::bundle::{BundleError, BundleFiles, Entry, LARGEST_BUNDLE};

#[cfg(test)]
mod tests;

/// What no farm needs; `.kilnignore` can ask for none of it back.
const NEVER: [&str; 6] = [".git", ".hg", ".svn", "packer_cache", "output-*/", ".kilnignore"];

/// A directory as a bundle.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Its files.
    pub(crate) files: BundleFiles,
    /// The directory from which the build was started, relative to the top.
    pub(crate) working_directory: String,
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
    #[error("failed to list the files for the farm")]
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
        "the files below {} are too large for a farm ({} MiB at most); the largest are {largest}; name what is not needed in \
         a file .kilnignore there, as in .gitignore",
        top.display(),
        LARGEST_BUNDLE >> 20
    )]
    TooLarge {
        /// The bundle's top.
        top: PathBuf,
        /// The largest files, with their sizes.
        largest: String,
    },
}

/// Packs what the template at `template` (as named from `working_directory`) and the build need.
pub(crate) fn pack(template: &str, working_directory: &Path) -> Result<Packed, PackError> {
    let top = top_of(template, working_directory)?;
    let below = working_directory.strip_prefix(&top).unwrap_or(Path::new(""));
    let working_directory = below.to_string_lossy().into_owned();
    let mut files = BundleFiles::default();
    let mut sizes: Vec<(u64, String)> = Vec::new();
    for found in walk(&top)? {
        let found = found.map_err(PackError::Walk)?;
        let Some(entry) = entry(&found, &mut sizes, &top)? else { continue };
        let name = found.path().strip_prefix(&top).unwrap_or(found.path()).to_string_lossy();
        files.add(&name, entry).map_err(|source| PackError::Entry { top: top.clone(), source })?;
    }
    Ok(Packed { files, working_directory })
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
    if common != working_directory && (common.parent().is_none() || Some(&common) == home.as_ref()) {
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

fn walk(top: &Path) -> Result<ignore::Walk, PackError> {
    let mut never = OverrideBuilder::new(top);
    for name in NEVER {
        never.add(&format!("!{name}")).map_err(PackError::Walk)?;
    }
    let mut walk = WalkBuilder::new(top);
    walk.standard_filters(false)
        .add_custom_ignore_filename(".kilnignore")
        .overrides(never.build().map_err(PackError::Walk)?)
        .follow_links(false);
    Ok(walk.build())
}

/// The entry of a file or link; none for directories, and for sockets and their kin, which no other machine could use.
fn entry(
    found: &ignore::DirEntry,
    sizes: &mut Vec<(u64, String)>,
    top: &Path,
) -> Result<Option<Entry>, PackError> {
    let path = found.path();
    let unread = |source| PackError::Read { path: path.to_owned(), source };
    let Some(kind) = found.file_type() else { return Ok(None) };
    if kind.is_symlink() {
        let target = std::fs::read_link(path).map_err(unread)?;
        return linked(path, &target, top).map(Some);
    }
    if !kind.is_file() {
        return Ok(None);
    }
    let metadata = path.metadata().map_err(unread)?;
    sizes.push((metadata.len(), path.strip_prefix(top).unwrap_or(path).to_string_lossy().into_owned()));
    if sizes.iter().map(|(size, _)| size).sum::<u64>() > LARGEST_BUNDLE {
        return Err(too_large(sizes, top));
    }
    let mut contents = Vec::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(LARGEST_BUNDLE + 1).read_to_end(&mut contents).map_err(unread)?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Some(Entry::File { contents: contents.into(), executable }))
}

/// A link that stays in the bundle goes as a link; of one that leads out, what it leads to goes.
fn linked(path: &Path, target: &Path, top: &Path) -> Result<Entry, PackError> {
    let target = target.to_string_lossy().into_owned();
    let name = path.strip_prefix(top).unwrap_or(path).to_string_lossy().into_owned();
    let link = Entry::Link { target };
    let stays = BundleFiles::default().add(&name, link.clone()).is_ok();
    if stays || !path.is_file() {
        return Ok(link);
    }
    let contents = std::fs::read(path).map_err(|source| PackError::Read { path: path.to_owned(), source })?;
    Ok(Entry::File { contents: contents.into(), executable: false })
}

fn too_large(sizes: &mut [(u64, String)], top: &Path) -> PackError {
    sizes.sort_by(|a, b| b.cmp(a));
    let largest = sizes.iter().take(3).map(|(size, name)| format!("{name} ({} MiB)", size >> 20));
    PackError::TooLarge { top: top.to_owned(), largest: largest.collect::<Vec<_>>().join(", ") }
}
