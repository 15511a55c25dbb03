//! Builds that are over and agents that are gone are forgotten after a while, with their logs and plans.

use std::collections::BTreeSet;

use kiln_model::{Action, FarmState, due};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::BuildId;

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let now = coordinator.clock.now();
    let keep_ms = u64::try_from(coordinator.settings.keep.as_millis()).unwrap_or(u64::MAX);
    let (agents, builds) = coordinator.ledger.read(|farm| {
        (due::forgettable_agents(farm, now, keep_ms), due::forgettable_builds(farm, now, keep_ms))
    });
    let forget = |agent| Action::ForgetAgent { agent };
    let mut done = super::propose(coordinator, agents.into_iter().map(forget).collect()).await?;
    for build in builds {
        done += forget_build(coordinator, build).await?;
    }
    Ok(done)
}

async fn forget_build(coordinator: &Coordinator, build: BuildId) -> Result<usize, ProposeError> {
    let plans = coordinator.ledger.read(|farm| plans_of(farm, |of| of == build));
    let done = super::propose(coordinator, vec![Action::ForgetBuild { build }]).await?;
    coordinator.events.forget(build);
    if let Err(error) = coordinator.events.remove(build).await {
        tracing::warn!(error = kiln_plan::fault::chain(&error), "events at rest were left behind");
    }
    // Plans name the run they were made for, so a build that is being submitted has none of these.
    let used = coordinator.ledger.read(|farm| plans_of(farm, |_| true));
    for plan in plans.difference(&used) {
        if let Err(error) = coordinator.plans.remove(*plan).await {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "a plan was left behind");
        }
    }
    Ok(done)
}

fn plans_of(farm: &FarmState, wanted: impl Fn(BuildId) -> bool) -> BTreeSet<Fingerprint> {
    farm.tasks().values().filter(|task| wanted(task.build)).map(|task| task.plan).collect()
}
