//! The floppy with `floppy_files` and its kin.

use std::path::PathBuf;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault};

use crate::builder::qemu::config::Config;
use crate::media::floppy;
use crate::media::tree::MediaError;

/// See the module.
#[derive(Debug)]
pub struct MakeFloppy<'a> {
    /// The config.
    pub config: &'a Config,
}

#[async_trait]
impl Step for MakeFloppy<'_> {
    /// The image, in the scratch directory.
    type Output = Option<PathBuf>;

    fn name(&self) -> &'static str {
        "make the floppy"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Option<PathBuf>>, Failure> {
        let files = self.config.media.floppy(&self.config.working_dir).map_err(|e| failure(&e))?;
        let Some(files) = files else { return Ok(Done::plain(None)) };
        cx.reporter.say("Making a floppy for the guest");
        let (path, label) = (cx.scratch.join("floppy.img"), self.config.media.floppy_label.clone());
        let image = path.clone();
        let written = tokio::task::spawn_blocking(move || floppy::write(&image, &label, &files)).await;
        written.map_err(|e| Failure::from_error(Fault::Machine, &e))?.map_err(|e| failure(&e))?;
        Ok(Done::plain(Some(path)))
    }
}

/// A medium that can't be made: the template's doing when it names what isn't there or doesn't fit.
pub(super) fn failure(error: &MediaError) -> Failure {
    let fault = match error {
        MediaError::Write { .. } => Fault::Machine,
        _ => Fault::Template,
    };
    Failure::from_error(fault, error)
}
