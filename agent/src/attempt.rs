//! One attempt at a task, from its plan to its outcome.
//!
//! ```text
//!   check the whole plan ─► journal, scratch ─► builder ─► (its pipeline calls back: provisioners) ─► artifact
//!                                                                                      │
//!        outcome ◄─ journal closed: what was forgotten goes ◄─ post-processors ◄───────┘
//! ```
//!
//! Configs are finished right before use: the builder's at the start, each provisioner's when its turn comes, with
//! the guest's real values, each post-processor's with the values of the artifact that goes in.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use kiln_component::pipeline::panic_text;
use kiln_component::reporter::EventSink;
use kiln_component::{Artifact, Builder, Journal, Origins, Reporter, Scratch, TaskContext, artifact};
use kiln_plan::build::PLAN_FORMAT;
use kiln_plan::event::TaskOutcome;
use kiln_plan::{ArtifactRecord, BuildPlan, Failure, Fault, Redactor};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::catalog::Factories;

pub mod check;
mod finish_config;
mod make;
mod motion;
mod post_processing;
mod provisioning;
mod run_values;
mod schema_check;
#[cfg(test)]
mod tests;

use finish_config::Moment;
use make::Maker;
use post_processing::PostProcessing;
use provisioning::Provisioning;

/// What an attempt needs of the machine.
#[derive(Clone, Debug)]
pub struct AttemptSettings {
    /// Where relative paths of the template resolve.
    pub working_dir: PathBuf,
    /// The machine's cache.
    pub cache_dir: PathBuf,
    /// Where journals and scratch directories lie; made when missing. On one file system with enough room.
    pub run_dir: PathBuf,
    /// Where it is noted what goes into the result.
    pub origins: Origins,
    /// Whether the process is the attempt's alone, so that what it does by itself is the attempt's progress.
    pub own_process: bool,
    /// Ends the attempt early, with everything undone.
    pub cancel: CancellationToken,
}

/// Carries out a plan. Never panics, and must not be dropped before its end: fire `settings.cancel` instead.
pub async fn run(
    plan: Arc<BuildPlan>,
    factories: Arc<Factories>,
    settings: AttemptSettings,
    sink: Arc<dyn EventSink>,
) -> TaskOutcome {
    let plan = at_home(plan, &settings);
    let secrets = plan.secrets.iter().map(|s| s.reveal().as_str());
    let reporter = Reporter::new(sink, Arc::new(Redactor::new(secrets)));
    let cancel = settings.cancel.clone();
    let work = AssertUnwindSafe(within_journal(plan, factories, settings, &reporter)).catch_unwind().await;
    let result = work.unwrap_or_else(|panic| {
        Err(Failure::new(Fault::Machine, format!("internal error: {}", panic_text(&*panic))))
    });
    match result {
        Ok(artifacts) => TaskOutcome::Succeeded { artifacts },
        Err(failure) if failure.cancelled || cancel.is_cancelled() => TaskOutcome::Cancelled,
        Err(failure) => TaskOutcome::Failed { failure: redacted(failure, &reporter) },
    }
}

/// The plan with this machine's directory in the place of the one that it was made in.
fn at_home(mut plan: Arc<BuildPlan>, settings: &AttemptSettings) -> Arc<BuildPlan> {
    let here = settings.working_dir.display().to_string();
    if plan.facts.working_dir != here {
        Arc::make_mut(&mut plan).facts.working_dir = here;
    }
    plan
}

async fn within_journal(
    plan: Arc<BuildPlan>,
    factories: Arc<Factories>,
    settings: AttemptSettings,
    reporter: &Reporter,
) -> Result<Vec<ArtifactRecord>, Failure> {
    if plan.format > PLAN_FORMAT {
        let text = format!("the plan has format {}, this agent knows format {PLAN_FORMAT}", plan.format);
        return Err(
            Failure::new(Fault::Farm, text).hint("run the same version on the coordinator and on its agents")
        );
    }
    let found = check::check(&plan, &factories);
    if found.has_errors() {
        return Err(make::failure(&found));
    }
    // Short, because sockets with names of at most 107 bytes lie in the scratch directory.
    let name = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
    let machine = |e: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::Machine, e);
    let journal = Journal::open(&settings.run_dir, &name).map_err(|e| machine(&e))?;
    let scratch = match Scratch::make(&settings.run_dir.join(&name), &journal) {
        Ok(scratch) => scratch,
        Err(e) => {
            journal.close().await;
            return Err(machine(&e));
        }
    };
    let watch = motion::watch(journal.clone(), settings.own_process, reporter.clone());
    let watched = AbortOnDropHandle::new(tokio::spawn(watch));
    let cx = TaskContext {
        plan,
        reporter: reporter.clone(),
        cancel: settings.cancel,
        scratch: scratch.path().to_owned(),
        journal: journal.clone(),
        working_dir: settings.working_dir,
        cache_dir: settings.cache_dir,
        origins: settings.origins,
    };
    let result = AssertUnwindSafe(carry_out(&cx, factories)).catch_unwind().await;
    drop(watched);
    let (place, leaving) = (scratch.path().to_owned(), journal.is_leaving());
    drop(scratch);
    if leaving && place.exists() {
        reporter.say(format!("Left for inspection: {}", place.display()));
    }
    for left in journal.close().await {
        reporter.say(left.to_string());
    }
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn carry_out(cx: &TaskContext, factories: Arc<Factories>) -> Result<Vec<ArtifactRecord>, Failure> {
    let builder = make_builder(cx, &factories)?;
    let hook = Arc::new(Provisioning::new(cx.clone(), factories.clone()));
    let Some(original) = builder.build(cx, hook).await? else { return Ok(Vec::new()) };
    let artifacts = PostProcessing::new(cx, &factories).run(original).await?;
    let record = |a: &Arc<dyn Artifact>| artifact::record(&**a, &cx.working_dir);
    Ok(artifacts.iter().map(record).collect())
}

fn make_builder(cx: &TaskContext, factories: &Factories) -> Result<Box<dyn Builder>, Failure> {
    let maker = Maker { plan: &cx.plan, factories };
    let (builder, _told_by_the_check) =
        maker.builder(Moment::Builder).map_err(|found| make::failure(&found))?;
    Ok(builder)
}

fn redacted(failure: Failure, reporter: &Reporter) -> Failure {
    Failure {
        message: reporter.redact(&failure.message),
        hint: failure.hint.map(|hint| reporter.redact(&hint)),
        evidence: failure.evidence.iter().map(|line| reporter.redact(line)).collect(),
        ..failure
    }
}
