//! Rewrites the main disk without its unused parts, and makes sure that every result has reached the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault};

use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::builder::qemu::qemu_img::{QemuImg, converted_name};

/// Pauses between tries while another process still holds the disk, in seconds.
const PAUSES: [u64; 10] = [1, 2, 4, 8, 10, 10, 10, 10, 10, 10];
/// What qemu-img says then.
const HELD: &str = "Failed to get shared \"write\" lock";

/// See the module.
#[derive(Debug)]
pub struct ConvertDisk<'a> {
    /// The config.
    pub config: &'a Config,
    /// The qemu-img program.
    pub qemu_img: &'a Path,
}

#[async_trait]
impl Step for ConvertDisk<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "convert the disk"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let disks = &self.config.disks;
        let paths = self.config.disk_paths();
        if let (Some(main), true) = (paths.first(), disks.compact || disks.compress) {
            cx.reporter.say("Compacting the disk");
            let target = converted_name(main);
            self.convert(cx, main, &target).await?;
            tokio::fs::rename(&target, main).await.map_err(|error| {
                let text = format!("cannot replace {} by its converted form: {error}", main.display());
                Failure::new(Fault::Machine, text)
            })?;
        }
        self.sync(paths).await.map(Done::plain)
    }
}

impl ConvertDisk<'_> {
    async fn convert(&self, cx: &TaskContext, from: &Path, to: &Path) -> Result<(), Failure> {
        let img = QemuImg { program: self.qemu_img, disks: &self.config.disks };
        let mut pauses = PAUSES.iter();
        loop {
            let failure = match img.convert(cx, from, to, self.config.disks.compress).await {
                Err(failure) if failure.message.contains(HELD) => failure,
                outcome => return outcome,
            };
            let Some(pause) = pauses.next() else { return Err(failure) };
            cx.reporter.say("The disk is still in use; trying again");
            let wait = async {
                tokio::time::sleep(Duration::from_secs(*pause)).await;
                Ok(())
            };
            unless_cancelled(cx, wait).await?;
        }
    }

    /// QEMU built with a cache that never waits for the disk: what it wrote must be there before it counts.
    async fn sync(&self, paths: Vec<PathBuf>) -> Result<(), Failure> {
        let syncing = tokio::task::spawn_blocking(move || {
            paths.iter().try_for_each(|path| std::fs::File::open(path)?.sync_all())
        });
        let synced = syncing.await.map_err(std::io::Error::other).and_then(|result| result);
        synced.map_err(|error| Failure::new(Fault::Machine, format!("cannot write the disks out: {error}")))
    }
}
