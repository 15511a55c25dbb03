//! A bound for the cache of downloads: when it is exceeded, what was used longest ago goes first. Nothing that is in use
//! goes, and nothing that is not the cache's own.
//!
//! A task that uses a file links it into its scratch directory: a file with two names is in use, until the scratch goes,
//! by itself or by recovery. Where that can't be done (another file system), open files tell.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::lock_of;

/// Notes that a task with this scratch directory uses a file. Best effort.
pub(super) fn mark_used(file: &Path, scratch: &Path) {
    let now = FileTimes::new().set_accessed(SystemTime::now());
    if let Err(error) = File::open(file).and_then(|file| file.set_times(now)) {
        tracing::debug!(%error, file = %file.display(), "the time of a download's use can't be noted");
    }
    if let Some(name) = file.file_name() {
        let mut link = std::ffi::OsString::from("in-use-");
        link.push(name);
        match fs::hard_link(file, scratch.join(link)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::debug!(%error, file = %file.display(), "a download in use can't be linked");
            }
            _ => {}
        }
    }
}

/// A file of the cache.
struct Cached {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    identity: (u64, u64),
    names: u64,
}

/// Removes downloads until the cache takes at most `limit` bytes, or nothing more can go. Returns what went. Blocks.
///
/// # Errors
/// When the cache can't be listed.
pub fn trim(cache_dir: &Path, limit: u64) -> io::Result<Vec<PathBuf>> {
    let mut all = match fs::read_dir(cache_dir) {
        Ok(entries) => entries.filter_map(|entry| cached(entry.ok()?.path())).collect::<Vec<_>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes: u64 = all.iter().map(|file| file.bytes).sum();
    if bytes <= limit {
        return Ok(Vec::new());
    }
    all.sort_by_key(|file| file.used);
    let open = open_files();
    let mut gone = Vec::new();
    for file in all {
        if bytes <= limit {
            break;
        }
        if file.names > 1 || open.contains(&file.identity) {
            continue;
        }
        // Whoever downloads or verifies it holds the lock.
        let lock = File::options().create(true).truncate(false).write(true).open(lock_of(&file.path))?;
        if lock.try_lock().is_err() || fs::metadata(&file.path).is_ok_and(|m| m.nlink() > 1) {
            continue;
        }
        if fs::remove_file(&file.path).is_ok() {
            tracing::info!(file = %file.path.display(), "a download went, to keep the cache within its bound");
            bytes -= file.bytes;
            gone.push(file.path);
        }
    }
    Ok(gone)
}

/// What is at `path`, if the cache put it there: its names begin with a SHA-1 in hexadecimal.
fn cached(path: PathBuf) -> Option<Cached> {
    let name = path.file_name()?.to_str()?;
    let (digest, extension) = name.split_once('.')?;
    let is_ours =
        digest.len() == 40 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && !extension.ends_with("lock");
    let metadata = fs::symlink_metadata(&path).ok().filter(|m| is_ours && m.is_file())?;
    let used = metadata.accessed().ok()?.max(metadata.modified().ok()?);
    let identity = (metadata.dev(), metadata.ino());
    Some(Cached { bytes: metadata.blocks() * 512, used, identity, names: metadata.nlink(), path })
}

/// The files that processes of this user have open; of all users, for root.
fn open_files() -> BTreeSet<(u64, u64)> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let of = |process: io::Result<fs::DirEntry>| fs::read_dir(process.ok()?.path().join("fd")).ok();
    let files = processes.filter_map(of).flatten().flatten();
    files.filter_map(|file| fs::metadata(file.path()).ok()).map(|m| (m.dev(), m.ino())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_nothing_that_is_in_use() {
        let cache = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir_in(cache.path()).unwrap();
        let put = |letter: char, extension: &str, age: u64| {
            let path = cache.path().join(format!("{}.{extension}", letter.to_string().repeat(40)));
            fs::write(&path, vec![1; 64 << 10]).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            let times = FileTimes::new().set_accessed(then).set_modified(then);
            File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
            path
        };
        let (oldest, linked, opened, locked) =
            (put('a', "iso", 100), put('b', "iso", 90), put('c', "iso", 80), put('d', "iso.part", 70));
        let (old, young) = (put('e', "iso", 60), put('f', "iso", 10));
        let foreign = cache.path().join("notes.iso");
        fs::write(&foreign, vec![1; 64 << 10]).unwrap();
        fs::hard_link(&linked, scratch.path().join("in-use")).unwrap();
        let _open = File::open(&opened).unwrap();
        let lock = File::create(lock_of(&locked)).unwrap();
        lock.lock().unwrap();

        assert_eq!(trim(cache.path(), 6 * (64 << 10)).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(trim(cache.path(), 4 * (64 << 10)).unwrap(), [oldest, old]);
        assert_eq!(trim(cache.path(), 0).unwrap(), [young]);
        drop(lock);
        assert_eq!(trim(cache.path(), 0).unwrap(), [locked]);
        assert!(linked.exists() && opened.exists() && foreign.exists());
        assert_eq!(trim(&cache.path().join("none"), 0).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn use_is_marked_by_time_and_a_second_name() {
        let cache = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir_in(cache.path()).unwrap();
        let path = cache.path().join(format!("{}.iso", "a".repeat(40)));
        fs::write(&path, vec![1; 4096]).unwrap();
        mark_used(&path, scratch.path());
        mark_used(&path, scratch.path());
        assert_eq!(trim(cache.path(), 0).unwrap(), Vec::<PathBuf>::new());
        scratch.close().unwrap();
        assert_eq!(trim(cache.path(), 0).unwrap(), [path]);
    }
}
