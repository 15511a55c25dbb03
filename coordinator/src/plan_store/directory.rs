//! Plans as files of a directory that only the coordinator's user can read, each named by its digest.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Bytes;
use uuid::Uuid;

use super::{PlanStore, PlanStoreError};

/// A directory of plans.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn open(path: PathBuf) -> Result<Self, PlanStoreError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(PlanStoreError { operation: "make the directory for", path, source }),
        }
    }

    fn path_of(&self, plan: Fingerprint) -> PathBuf {
        let name = plan.to_string();
        self.path.join(name.trim_start_matches("sha256:"))
    }
}

/// Does what may wait for a disk on a thread of its own.
async fn on_disk<T: Send + 'static>(
    operation: &'static str,
    path: PathBuf,
    work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
) -> Result<T, PlanStoreError> {
    let place = path.clone();
    let done = tokio::task::spawn_blocking(move || work(&place)).await;
    let done = done.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    done.map_err(|source| PlanStoreError { operation, path, source })
}

/// Writes beside and renames, so that a plan is there whole or not at all.
fn write(path: &Path, plan: &[u8]) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let beside = path.with_extension(Uuid::now_v7().to_string());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(plan)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[async_trait]
impl PlanStore for Directory {
    async fn put(&self, plan: Bytes) -> Result<Fingerprint, PlanStoreError> {
        let fingerprint = Fingerprint::of_bytes(&plan);
        on_disk("write", self.path_of(fingerprint), move |path| write(path, &plan)).await?;
        Ok(fingerprint)
    }

    async fn get(&self, plan: Fingerprint) -> Result<Option<Bytes>, PlanStoreError> {
        on_disk("read", self.path_of(plan), |path| match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn remove(&self, plan: Fingerprint) -> Result<(), PlanStoreError> {
        on_disk("remove", self.path_of(plan), |path| match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        })
        .await
    }
}
