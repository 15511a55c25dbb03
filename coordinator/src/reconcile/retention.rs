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
    let done = super::propose(coordinator, agents.into_iter().map(forget).collect()).await?;
    Ok(done + forget_builds(coordinator, &builds).await?)
}

async fn forget_builds(coordinator: &Coordinator, builds: &[BuildId]) -> Result<usize, ProposeError> {
    if builds.is_empty() {
        return Ok(0);
    }
    let (plans, bundles) = coordinator.ledger.read(|farm| (plans_of(farm, builds), bundles_of(farm, builds)));
    let forget = builds.iter().map(|build| Action::ForgetBuild { build: *build });
    let done = super::propose(coordinator, forget.collect()).await?;
    for build in builds {
        coordinator.events.forget(*build);
        if let Err(error) = coordinator.events.remove(*build).await {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "events at rest were left behind");
        }
    }
    // Plans name the run they were made for, so a build that is being submitted has none of these.
    let used: BTreeSet<Fingerprint> =
        coordinator.ledger.read(|farm| farm.tasks().values().map(|task| task.plan).collect());
    for plan in plans.difference(&used) {
        if let Err(error) = coordinator.plans.remove(*plan).await {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "a plan was left behind");
        }
    }
    // Somebody who is about to submit the same files again is told to send them.
    let used: BTreeSet<Fingerprint> = coordinator
        .ledger
        .read(|farm| farm.builds().values().filter_map(|build| build.origin.bundle).collect());
    for bundle in bundles.difference(&used) {
        if let Err(error) = coordinator.bundles.remove(*bundle).await {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "a bundle was left behind");
        }
    }
    Ok(done)
}

fn bundles_of(farm: &FarmState, builds: &[BuildId]) -> BTreeSet<Fingerprint> {
    builds.iter().filter_map(|build| farm.builds().get(build)?.origin.bundle).collect()
}

fn plans_of(farm: &FarmState, builds: &[BuildId]) -> BTreeSet<Fingerprint> {
    let tasks = builds.iter().filter_map(|build| farm.builds().get(build)).flat_map(|build| &build.tasks);
    tasks.filter_map(|task| farm.tasks().get(task)).map(|task| task.plan).collect()
}
