//! `sleep`: waits.

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::Diagnostics;
use kiln_lang::duration::SignedDuration;
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;

use super::remote;

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    duration: SignedDuration,
}

/// How it is made.
pub fn factory() -> Factory {
    let options = vec![OptionSchema::new("duration", OptionType::Duration, "how long to wait").default("0s")];
    Factory::provisioner("sleep", options, make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    Ok((Box::new(Sleep { options: config.decode()? }), Diagnostics::new()))
}

/// The provisioner.
#[derive(Debug)]
pub struct Sleep {
    options: Options,
}

#[async_trait]
impl Provisioner for Sleep {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        remote::unless_cancelled(cx, tokio::time::sleep(self.options.duration.max_zero())).await
    }
}
