//! Who an agent is: an identifier that it gives itself once and keeps, in `agent.json` of its run directory, so that the
//! farm knows it again after a restart.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kiln_plan::id::AgentId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the file's format.
const FORMAT: u32 = 1;

/// The identifier can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The system refuses.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It isn't what it should be.
    #[error("{} is damaged; remove it, and the agent is a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Resting {
    format: u32,
    agent: AgentId,
}

/// The identifier of the agent in this run directory; a new one the first time.
pub(super) fn of(run_dir: &Path) -> Result<AgentId, NameError> {
    let path = run_dir.join("agent.json");
    match fs::read(&path) {
        Ok(text) => {
            let read = serde_json::from_slice::<Resting>(&text);
            read.map(|resting| resting.agent).map_err(|source| NameError::Damaged { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => begin(&path),
        Err(source) => Err(NameError::Io { operation: "read", path, source }),
    }
}

fn begin(path: &Path) -> Result<AgentId, NameError> {
    let agent = AgentId::new(Uuid::now_v7());
    let text = serde_json::to_vec(&Resting { format: FORMAT, agent }).expect("it has only string keys");
    let new = path.with_extension("json.new");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| NameError::Io { operation: "write", path: path.to_owned(), source })?;
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_keeps_its_identifier() {
        let run_dir = tempfile::tempdir().unwrap();
        let first = of(run_dir.path()).unwrap();
        assert_eq!(of(run_dir.path()).unwrap(), first);
        fs::write(run_dir.path().join("agent.json"), "{}").unwrap();
        let error = of(run_dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("agent.json is damaged; remove it, and the agent is a new one"), "{error}");
    }
}
