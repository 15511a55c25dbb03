//! Where a program lies.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file that a program's name stands for: itself when it is a path, else the first executable of that name
/// along `PATH`; `None` when there is none.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| is_executable(p));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|p| is_executable(p))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_path_if_it_can_be_run() {
        assert!(find("sh").is_some_and(|p| p.is_absolute()));
        assert!(find("/bin/sh").is_some());
        assert_eq!(find("/etc/passwd"), None);
        assert_eq!(find("no-such-program"), None);
    }
}
