//! A directory as the world, with the upgraded template in it although it isn't on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_config::SharedHost;
use kiln_config::host::{DirectoryEntry, FileKind, Host, HostError};

/// The name of the upgraded template.
pub(crate) const UPGRADED: &str = "upgraded-by-a-test.pkr.hcl";

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct World {
    directory: PathBuf,
    upgraded: String,
}

impl World {
    /// A directory with an upgraded template.
    pub(crate) fn of(directory: &Path, upgraded: &str) -> SharedHost {
        Arc::new(Self { directory: directory.to_owned(), upgraded: upgraded.to_owned() })
    }
}

impl Host for World {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        if path == UPGRADED {
            return Ok(self.upgraded.clone().into_bytes());
        }
        let text = std::fs::read_to_string(self.directory.join(path))
            .map_err(|error| HostError::Failed { path: path.to_owned(), reason: error.to_string() })?;
        // The one thing that has to be changed by hand: null in a var file is "" to JSON templates.
        let is_var_file = Path::new(path).is_absolute();
        Ok(if is_var_file { text.replace(": null", ": \"\"") } else { text }.into_bytes())
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        Err(HostError::NotFound { path: "-".to_owned() })
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        let is_there = path == UPGRADED || self.directory.join(path).is_file();
        Ok(is_there.then_some(FileKind::File))
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        Err(HostError::NotFound { path: path.to_owned() })
    }

    fn environment(&self, name: &str) -> Option<String> {
        (!name.starts_with("PKR_VAR_")).then(|| format!("<{name}>"))
    }

    fn now_ns(&self) -> i64 {
        1_600_000_000_000_000_000
    }

    fn random_uuid(&self) -> String {
        "01234567-89ab-4def-8123-456789abcdef".to_owned()
    }

    fn working_directory(&self) -> String {
        "/where/it/began".to_owned()
    }

    fn home_directory(&self) -> Option<String> {
        None
    }
}
