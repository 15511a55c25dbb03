//! What a run has left behind: processes, and files where none should be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait;

/// What was found.
#[derive(Debug)]
pub struct Leftovers {
    place: PathBuf,
}

impl Leftovers {
    /// The environment variable by which a place's processes are known.
    pub const MARK: &'static str = "KILN_TEST_PLACE";

    pub(crate) fn of(place: &Path) -> Self {
        Self { place: place.to_owned() }
    }

    /// The directory of the place.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The processes of this place that are alive, as `pid command`.
    pub fn processes(&self) -> Vec<String> {
        self.alive().into_iter().map(|(pid, command)| format!("{pid} {command}")).collect()
    }

    /// The numbers of those whose program's name begins with `program`.
    pub fn process_ids(&self, program: &str) -> Vec<u32> {
        let named = |command: &str| {
            let path = command.split(' ').next().unwrap_or_default();
            path.rsplit('/').next().is_some_and(|name| name.starts_with(program))
        };
        self.alive().into_iter().filter(|(_, command)| named(command)).map(|(pid, _)| pid).collect()
    }

    fn alive(&self) -> Vec<(u32, String)> {
        let mark = format!("{}={}", Self::MARK, self.place.display());
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let ours = pids.filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|v| v == mark.as_bytes())
        });
        let told = |pid: u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&command).replace('\0', " "))
        };
        ours.map(told).collect()
    }

    /// Files and directories below the place's temporary directory and its state directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.place.join("tmp"), &mut found);
        collect(&self.place.join("home/.local/state/kiln"), &mut found);
        // A lock that nobody holds is no leftover.
        found.retain(|p| p.extension().is_none_or(|e| e != "lock"));
        found
    }

    /// Fails the test if anything is left.
    ///
    /// # Panics
    /// With a list of what is left.
    #[track_caller]
    pub fn expect_none(&self) {
        wait::until("processes of the run to end", Duration::from_secs(5), || {
            self.processes().is_empty().then_some(())
        });
        let files = self.files();
        assert!(files.is_empty(), "left behind: {files:#?}");
    }
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}
