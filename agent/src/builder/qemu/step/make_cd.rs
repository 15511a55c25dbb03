//! The CD with `cd_files` and `cd_content`.

use std::path::PathBuf;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault};

use super::make_floppy::failure;
use crate::builder::qemu::config::Config;
use crate::media::cd;

/// See the module.
#[derive(Debug)]
pub struct MakeCd<'a> {
    /// The config.
    pub config: &'a Config,
}

#[async_trait]
impl Step for MakeCd<'_> {
    /// The image, in the scratch directory.
    type Output = Option<PathBuf>;

    fn name(&self) -> &'static str {
        "make the CD"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Option<PathBuf>>, Failure> {
        let files = self.config.media.cd(&self.config.working_dir).map_err(|e| failure(&e))?;
        let Some(files) = files else { return Ok(Done::plain(None)) };
        cx.reporter.say("Making a CD for the guest");
        let (path, label) = (cx.scratch.join("cd.iso"), self.config.media.cd_label.clone());
        let image = path.clone();
        let written = tokio::task::spawn_blocking(move || cd::write(&image, &label, &files)).await;
        written.map_err(|e| Failure::from_error(Fault::Machine, &e))?.map_err(|e| failure(&e))?;
        Ok(Done::plain(Some(path)))
    }
}
