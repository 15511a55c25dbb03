//! `sleep`: waits.

use async_trait::async_trait;
use kiln_component::factory::{Made, Make};
use kiln_component::{Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::Diagnostics;
use kiln_lang::duration::SignedDuration;
use kiln_plan::schema::OptionType;
use kiln_plan::{ComponentKind, ComponentSchema, Failure, OptionSchema};
use serde::Deserialize;

use super::remote;
use crate::config;

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    duration: SignedDuration,
}

/// How it is made.
pub fn factory() -> Factory {
    let options = vec![OptionSchema::new("duration", OptionType::Duration, "how long to wait").default("0s")];
    let schema = ComponentSchema { kind: ComponentKind::Provisioner, name: "sleep".into(), options, generated: vec![] };
    Factory { schema, make: Make::Provisioner(make) }
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    Ok((Box::new(Sleep { options: config::decode(&config)? }), Diagnostics::new()))
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
