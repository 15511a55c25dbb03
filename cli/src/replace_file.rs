//! A file's text replaced as a whole: whoever reads it meanwhile, or after a crash, finds the old text or the new one,
//! never a part.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file couldn't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct ReplaceError {
    /// The file.
    path: PathBuf,
    /// The system's words.
    #[source]
    cause: io::Error,
}

/// Replaces the text of an existing file. Its mode and, where that is allowed, its owner stay; of a link, its target
/// is replaced.
///
/// # Errors
/// When the file may not be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    attempt(path, bytes).map_err(|cause| ReplaceError { path: path.to_owned(), cause })
}

fn attempt(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = path.canonicalize()?;
    // A rename would get around the protection of the file itself.
    let old = OpenOptions::new().write(true).open(&path)?;
    match renamed(&path, &old.metadata()?, bytes) {
        Ok(()) => Ok(()),
        // In a directory that takes no new files, or where the file is mounted, there is only this way.
        Err(_) => overwrite(old, bytes),
    }
}

fn renamed(path: &Path, old: &Metadata, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // The leading dot hides it from those who list the directory meanwhile.
    let mut new = tempfile::Builder::new().prefix(".kiln-new-").tempfile_in(directory)?;
    new.write_all(bytes)?;
    new.as_file().set_permissions(old.permissions())?;
    keep_owner(new.as_file(), old)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(unix)]
fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = new.metadata()?;
    match (ours.uid(), ours.gid()) == (old.uid(), old.gid()) {
        true => Ok(()),
        false => std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid())),
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

fn overwrite(mut old: File, bytes: &[u8]) -> io::Result<()> {
    old.set_len(0)?;
    old.write_all(bytes)?;
    old.sync_all()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn mode_and_link_stay_and_nothing_is_left_over() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        std::fs::write(&file, "old text that is longer").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o751);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let error = replace(Path::new("/nowhere/x"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nowhere/x");
    }
}
