//! The programs that the builder runs, found before anything is made.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kiln_plan::{Failure, Fault};

/// Where QEMU's programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The template's `qemu_binary`, absolute.
    pub qemu: PathBuf,
    /// `qemu-img`, absolute.
    pub qemu_img: PathBuf,
}

impl Programs {
    /// Looks for them, along `PATH` and in the working directory of the template.
    ///
    /// # Errors
    /// Which one is missing, and what to install.
    pub fn find(qemu_binary: &str, working_dir: &Path) -> Result<Self, Failure> {
        let look = |program: &str, package: &str| {
            find(program, std::env::var_os("PATH").as_deref(), working_dir).ok_or_else(|| {
                Failure::new(Fault::Machine, format!("cannot find the program {program:?}"))
                    .hint(format!("Install {package}, or add the program's directory to PATH."))
            })
        };
        Ok(Self {
            qemu: look(qemu_binary, "QEMU (on Debian: the package qemu-system-x86)")?,
            qemu_img: look("qemu-img", "QEMU's tools (on Debian: the package qemu-utils)")?,
        })
    }
}

fn find(program: &str, path: Option<&OsStr>, working_dir: &Path) -> Option<PathBuf> {
    let runnable = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(working_dir.join(program)).filter(runnable);
    }
    std::env::split_paths(path?).map(|directory| working_dir.join(directory).join(program)).find(runnable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_file_that_may_be_run() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("qemu-x");
        std::fs::write(&file, "").expect("a file");
        let path = Some(directory.path().as_os_str());
        assert_eq!(find("qemu-x", path, Path::new("/")), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        assert_eq!(find("qemu-x", path, Path::new("/")), Some(file.clone()));
        assert_eq!(find("./qemu-x", None, directory.path()), Some(directory.path().join("./qemu-x")));
        assert_eq!(find("qemu-y", path, Path::new("/")), None);
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_install() {
        let failure = Programs::find("qemu-system-none", Path::new("/")).expect_err("missing");
        assert_eq!(failure.fault, Fault::Machine);
        assert!(
            failure.message.contains("qemu-system-none")
                && failure.hint.is_some_and(|h| h.contains("Install"))
        );
    }
}
