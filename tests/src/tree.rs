//! The project's own files, as git knows them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the project.
pub fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_owned(), Path::to_owned)
}

/// Every file of the project that isn't ignored, relative to the top, sorted.
///
/// # Panics
/// When git can't be asked: the tests need a checkout.
pub fn files() -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .expect("git is installed, since this is a checkout");
    assert!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    let mut files: Vec<PathBuf> = String::from_utf8_lossy(&out.stdout).lines().map(PathBuf::from).collect();
    files.retain(|f| top().join(f).is_file());
    files.sort();
    files
}

/// The Rust sources among [`files`], with their text.
pub fn rust_sources() -> Vec<(PathBuf, String)> {
    texts(|path| path.extension().is_some_and(|e| e == "rs"))
}

/// The files that `wanted` picks, with their text; those that aren't UTF-8 are left out.
pub fn texts(wanted: impl Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| Some((path.clone(), std::fs::read_to_string(top().join(&path)).ok()?));
    files().into_iter().filter(|p| wanted(p)).filter_map(read).collect()
}
