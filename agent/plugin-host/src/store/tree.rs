//! Which files of a plug-in directory may be plug-ins of this machine, by their places and names alone.

use std::io;
use std::path::{Path, PathBuf};

use kiln_plan::PluginSource;

use crate::file_name::{PREFIX, PluginFileName};
use crate::platform::Platform;

/// Directories between the top and a plug-in, at most.
const DEEPEST: usize = 16;

/// More entries than any plug-in directory has; with more, the wrong directory was named.
const MOST: usize = 200_000;

/// Why a plug-in directory can't be searched.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It can't be read.
    #[error("cannot read the plug-in directory {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It isn't one.
    #[error(
        "{} holds more than {MOST} files, so it is no plug-in directory; check PACKER_PLUGIN_PATH", path.display()
    )]
    TooMany {
        /// Which one.
        path: PathBuf,
    },
}

/// The files below `directory`, but not directly in it, that are named as plug-ins for `platform`; sorted. None when
/// there is no such directory.
///
/// # Errors
/// When a directory can't be read, or there are too many files.
pub fn all(directory: &Path, platform: &Platform) -> Result<Vec<PathBuf>, TreeError> {
    let (mut files, mut seen) = (Vec::new(), 0);
    let mut open = vec![(directory.to_owned(), 0)];
    while let Some((inside, depth)) = open.pop() {
        for (path, is_directory) in entries(&inside)? {
            seen += 1;
            if seen > MOST {
                return Err(TreeError::TooMany { path: directory.to_owned() });
            }
            match is_directory {
                true if depth < DEEPEST => open.push((path, depth + 1)),
                false if depth > 0 && is_plugin(&path, PREFIX, platform) => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The files of one plug-in for `platform`, sorted by name.
///
/// # Errors
/// When its directory is there but can't be read.
pub fn of_source(
    directory: &Path,
    source: &PluginSource,
    platform: &Platform,
) -> Result<Vec<PathBuf>, TreeError> {
    let prefix = format!("{PREFIX}{}_", source.name());
    let entries = entries(&directory.join(source.as_str()))?;
    let of_it = |(path, is_directory): &(PathBuf, bool)| !is_directory && is_plugin(path, &prefix, platform);
    let mut files: Vec<PathBuf> = entries.into_iter().filter(of_it).map(|(path, _)| path).collect();
    files.sort();
    Ok(files)
}

/// The newest file of a plug-in, by its name alone; nothing when there is none or the directory can't be read.
pub fn newest(directory: &Path, source: &PluginSource, platform: &Platform) -> Option<PathBuf> {
    let files = of_source(directory, source, platform).ok()?;
    let named = files.into_iter().filter_map(|path| {
        let file = PluginFileName::parse(&path.file_name()?.to_string_lossy()).ok()?;
        Some((file.version, path))
    });
    named.max().map(|(_, path)| path)
}

/// What a directory holds, each with whether it is a directory itself; links to directories aren't followed, so that
/// nobody walks in circles.
fn entries(directory: &Path) -> Result<Vec<(PathBuf, bool)>, TreeError> {
    let problem = |source| TreeError::Read { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(error)),
    };
    let one = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?.is_dir()))
    };
    entries.map(one).collect::<io::Result<_>>().map_err(problem)
}

fn is_plugin(path: &Path, prefix: &str, platform: &Platform) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let end = format!("_{platform}{}", platform.program_suffix());
    name.starts_with(prefix) && name.ends_with(&end) && path.is_file()
}
