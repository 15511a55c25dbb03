//! Reading big files where waiting is allowed: with a progress bar, and ending soon after cancellation.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kiln_component::{Reporter, TaskContext};
use kiln_plan::event::ProgressUnit;
use kiln_plan::{Failure, Fault};
use tokio_util::sync::CancellationToken;

/// How many bytes go by between two words about progress.
const STRIDE: u64 = 8 << 20;

/// A file that is being read.
pub(super) struct WatchedFile {
    file: File,
    label: String,
    reporter: Reporter,
    cancel: CancellationToken,
    done: u64,
    total: u64,
}

impl WatchedFile {
    pub(super) fn open(path: &Path, label: &str, cx: &TaskContext) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let file = File::open(path).map_err(named)?;
        let total = file.metadata().map_err(named)?.len();
        let (reporter, cancel) = (cx.reporter.clone(), cx.cancel.clone());
        Ok(Self { file, label: label.to_owned(), reporter, cancel, done: 0, total })
    }

    pub(super) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.file.metadata()
    }
}

impl Read for WatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let count = self.file.read(buffer)?;
        let before = self.done / STRIDE;
        self.done += count as u64;
        // Small files need no bar.
        let ended = count == 0 && self.done >= STRIDE;
        if self.done / STRIDE > before || ended {
            self.reporter.progress(&self.label, self.done, Some(self.total), ProgressUnit::Bytes);
        }
        Ok(count)
    }
}

/// Does work that blocks. `what` is what it does, as in `compress the artifact`.
pub(super) async fn blocking<T: Send + 'static>(
    cx: &TaskContext,
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let result = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|r| r);
    result.map_err(|error| match cx.cancel.is_cancelled() {
        true => Failure::cancelled(),
        false => Failure::new(Fault::Machine, format!("cannot {what}: {error}")),
    })
}
