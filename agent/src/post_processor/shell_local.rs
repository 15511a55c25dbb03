//! `shell-local`: runs scripts on this machine once the artifact is there, and passes the artifact on.

use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Artifact, Factory, FinishedConfig, Keep, PostProcessor, Processed, TaskContext};
use kiln_plan::Failure;

use crate::provisioner::shell_local::{ShellLocal, rules, schema};

/// How it is made.
pub fn factory() -> Factory {
    Factory::post_processor("shell-local", schema(), make).with_rules(rules())
}

fn make(config: FinishedConfig) -> Made<Box<dyn PostProcessor>> {
    let (local, warnings) = ShellLocal::new(config)?;
    Ok((Box::new(AfterBuild(local)), warnings))
}

/// The post-processor.
#[derive(Debug)]
pub struct AfterBuild(ShellLocal);

#[async_trait]
impl PostProcessor for AfterBuild {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        self.0.run(cx, &input.generated()).await?;
        Ok(Processed { artifact: Some(input), keep: Keep::Always })
    }
}
