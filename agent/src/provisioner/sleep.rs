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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::communicator::testing::bounded;
    use crate::provisioner::testing::Bench;
    use crate::provisioner::tests::expect_fields;

    #[test]
    fn the_schema_is_what_is_decoded() {
        expect_fields::<Options>(&factory().schema.options);
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_as_long_as_it_is_told_and_no_longer() {
        for (duration, seconds) in [("40s", 40), ("0s", 0), ("-5s", 0)] {
            let begun = Instant::now();
            Bench::alone().run("sleep", json!({"duration": duration})).await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), seconds, "{duration}");
        }
    }

    #[tokio::test]
    async fn a_cancelled_sleep_ends() {
        let bench = Bench::alone();
        let sleep = bench.run("sleep", json!({"duration": "10h"}));
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bench.task.cx.cancel.cancel();
        };
        let (ended, ()) = tokio::join!(bounded(sleep), cancel);
        assert!(ended.unwrap_err().cancelled);
    }
}
