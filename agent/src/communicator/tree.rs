//! A local directory as it is carried into a guest: its entries in order, links followed.
//!
//! Links are followed as scp does, files and directories alike; a link that leads back to a directory around it
//! would never end and is an error. Entries are sorted by name, so that the same directory is always sent the
//! same way.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kiln_component::CommunicatorError;

/// One entry, in the order of a walk that enters and leaves directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory begins.
    Enter {
        /// Its name.
        name: OsString,
        /// Its permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Where it lies on this machine.
        path: PathBuf,
        /// Its name.
        name: OsString,
        /// Its permission bits.
        mode: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// The directory that was entered last ends.
    Leave,
}

/// What there is about a local file or directory that is about to be carried.
pub fn inspect(path: &Path) -> io::Result<(u32, Metadata)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.permissions().mode() & 0o7777, metadata))
}

/// Walks `directory`. With `contents_only` its members come alone, otherwise inside an entry for itself.
///
/// # Errors
/// When something can't be read, is neither file nor directory, or contains itself by a link.
pub async fn walk(directory: &Path, contents_only: bool) -> Result<Vec<Entry>, CommunicatorError> {
    let root = directory.to_owned();
    let walked = tokio::task::spawn_blocking(move || {
        let mut walk = Walk { entries: Vec::new(), around: Vec::new() };
        walk.directory(&root, contents_only).map(|()| walk.entries)
    });
    let failed = |source| CommunicatorError::Local {
        operation: format!("read the directory {}", directory.display()),
        source,
    };
    walked.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)
}

struct Walk {
    entries: Vec<Entry>,
    around: Vec<PathBuf>,
}

impl Walk {
    fn directory(&mut self, path: &Path, contents_only: bool) -> io::Result<()> {
        let real = path.canonicalize()?;
        if self.around.contains(&real) {
            return Err(io::Error::other(format!("{} leads back into itself by a link", path.display())));
        }
        let (mode, metadata) = inspect(path)?;
        if !metadata.is_dir() {
            return Err(io::Error::other(format!("{} is not a directory", path.display())));
        }
        // The name as written, so that a link keeps its own; `.` and `/` have none.
        let name =
            path.file_name().or_else(|| real.file_name()).unwrap_or_else(|| "root".as_ref()).to_owned();
        self.around.push(real);
        if !contents_only {
            self.entries.push(Entry::Enter { name, mode });
        }
        let mut members = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        members.sort_by_key(fs::DirEntry::file_name);
        for member in members {
            self.member(&member.path(), member.file_name())?;
        }
        if !contents_only {
            self.entries.push(Entry::Leave);
        }
        self.around.pop();
        Ok(())
    }

    fn member(&mut self, path: &Path, name: OsString) -> io::Result<()> {
        let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let (mode, metadata) = inspect(path).map_err(told)?;
        if metadata.is_dir() {
            return self.directory(path, false);
        }
        if !metadata.is_file() {
            return Err(io::Error::other(format!("{} is neither a file nor a directory", path.display())));
        }
        self.entries.push(Entry::File { path: path.to_owned(), name, mode, size: metadata.len() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(entries: &[Entry]) -> Vec<String> {
        let name = |n: &OsString| n.to_string_lossy().into_owned();
        let one = |e: &Entry| match e {
            Entry::Enter { name: n, mode } => format!("{}/ {mode:o}", name(n)),
            Entry::File { name: n, mode, size, .. } => format!("{} {mode:o} {size}", name(n)),
            Entry::Leave => "..".to_owned(),
        };
        entries.iter().map(one).collect()
    }

    #[tokio::test]
    async fn a_walk_is_sorted_and_follows_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("b")).unwrap();
        fs::write(root.join("b/file"), "12345").unwrap();
        fs::write(root.join("a"), "1").unwrap();
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(root.join("b/file"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("b", root.join("c")).unwrap();
        symlink("a", root.join("d")).unwrap();
        let inner = ["a 750 1", "b/ 700", "file 644 5", "..", "c/ 700", "file 644 5", "..", "d 750 1"];
        assert_eq!(names(&walk(&root, true).await.unwrap()), inner);
        let whole = names(&walk(&root, false).await.unwrap());
        assert_eq!(whole.first().unwrap(), "root/ 755");
        assert_eq!(whole.len(), inner.len() + 2);
    }

    #[tokio::test]
    async fn a_link_into_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        let error = walk(dir.path(), true).await.unwrap_err();
        let text = kiln_plan::fault::chain(&error);
        assert!(text.contains("leads back into itself"), "{text}");
    }
}
