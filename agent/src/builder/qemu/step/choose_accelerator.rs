//! Which accelerator: the template's, or what this machine can really do.

use std::path::Path;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::Failure;

use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::capability::accelerator::{self, Accelerator};

/// See the module.
#[derive(Debug)]
pub struct ChooseAccelerator<'a> {
    /// The config.
    pub config: &'a Config,
    /// The QEMU program.
    pub qemu: &'a Path,
}

#[async_trait]
impl Step for ChooseAccelerator<'_> {
    type Output = Accelerator;

    fn name(&self) -> &'static str {
        "choose the accelerator"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Accelerator>, Failure> {
        if let Some(accelerator) = self.config.hardware.accelerator {
            return Ok(Done::plain(accelerator));
        }
        let choosing = async { Ok(accelerator::choose(self.qemu, &cx.cache_dir).await) };
        let choice = unless_cancelled(cx, choosing).await?;
        cx.reporter.say(format!("Using the accelerator {}: {}", choice.accelerator, choice.reason));
        Ok(Done::plain(choice.accelerator))
    }
}
