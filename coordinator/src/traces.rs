//! Traces of builds, for a collector of OpenTelemetry; only when the settings name one.
//!
//! ```text
//!   ledger: a build ended ──► queue, at most WAITING ──► its events ── spans ──► collector   [spans], [export]
//!                                  │ full                  (from the log, also at rest)   │ doesn't answer: again,
//!                                  └──► left out, and counted                             └ up to PATIENCE, then left out
//! ```
//!
//! Nothing is carried through the farm for it: what a build's spans are follows from its record in the ledger and from
//! its events, which are kept anyway. Their identifiers follow from those of the build, so a trace that two leaders
//! send is the same trace. Whoever begins to lead sends what ended in the last [`LATELY`], which the last leader may not
//! have done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kiln_model::{BuildPhase, FarmState, Timestamp};
use kiln_plan::TraceParent;
use kiln_plan::id::BuildId;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

mod export;
mod spans;
mod steps;

pub use self::export::{Collector, CollectorError};

use self::export::Exporter;
use self::spans::Story;
use self::steps::Steps;
use crate::Coordinator;
use crate::http::Export;

/// Builds that may wait for the collector.
const WAITING: usize = 1_024;

/// How long a build's last events may take to come.
const LAST_EVENTS: Duration = Duration::from_secs(60);

/// How long ago a build may have ended that a new leader sends, in milliseconds.
const LATELY_MS: u64 = 60_000;

/// Even without news it is looked so often.
const AT_LEAST: Duration = Duration::from_secs(5);

/// Begins to send traces, if the settings say where to; ends when the coordinator falls quiet.
pub(crate) fn start(coordinator: &Arc<Coordinator>) {
    let Some(collector) = coordinator.settings.collector.clone() else { return };
    let (queue, waiting) = mpsc::channel(WAITING);
    let quiet = coordinator.lifecycle.quiet();
    let tasks = coordinator.lifecycle.tasks();
    tasks.spawn(quiet.clone().run_until_cancelled_owned(watch(Arc::clone(coordinator), queue)));
    tasks.spawn(quiet.clone().run_until_cancelled_owned(send_all(
        Arc::clone(coordinator),
        collector,
        waiting,
    )));
}

/// Queues what ends while this coordinator leads.
async fn watch(coordinator: Arc<Coordinator>, queue: mpsc::Sender<BuildId>) {
    let mut changes = coordinator.ledger.changes();
    let mut terms = coordinator.terms.changes();
    // Up to which end of a task all was seen; none between terms.
    let mut seen: Option<u64> = None;
    loop {
        changes.mark_unchanged();
        terms.mark_unchanged();
        if coordinator.terms.serves() {
            let now = coordinator.clock.now();
            let (ended, up_to) = coordinator.ledger.read(|farm| {
                let ended = match seen {
                    Some(seen) => ended_after(farm, seen),
                    None => ended_since(farm, Timestamp(now.0.saturating_sub(LATELY_MS))),
                };
                (ended, farm.counts().endings)
            });
            seen = Some(up_to);
            for build in ended {
                if let Err(TrySendError::Full(build)) = queue.try_send(build) {
                    tracing::warn!(%build, "too many traces wait for the collector; this one is left out");
                    coordinator.meters.traced(Export::Dropped);
                }
            }
        } else {
            seen = None;
        }
        let woken = async {
            tokio::select! {
                _ = changes.changed() => {}
                _ = terms.changed() => {}
            }
        };
        drop(tokio::time::timeout(AT_LEAST, woken).await);
    }
}

/// The builds whose last task finished after so many ends of tasks.
fn ended_after(farm: &FarmState, endings: u64) -> BTreeSet<BuildId> {
    let builds = farm.finished_after(endings).filter_map(|task| farm.builds().get(&task.build));
    builds.filter(|build| build.is_ended()).map(|build| build.id).collect()
}

/// The builds that ended since then.
fn ended_since(farm: &FarmState, since: Timestamp) -> BTreeSet<BuildId> {
    let lately = |phase: BuildPhase| matches!(phase, BuildPhase::Ended { at, .. } if at >= since);
    farm.builds().values().filter(|build| lately(build.phase)).map(|build| build.id).collect()
}

/// Sends one trace after the other.
async fn send_all(coordinator: Arc<Coordinator>, collector: Collector, mut waiting: mpsc::Receiver<BuildId>) {
    let number = coordinator.ledger.id();
    let exporter = match Exporter::new(collector, number) {
        Ok(exporter) => exporter,
        Err(error) => {
            tracing::error!(error = kiln_plan::fault::chain(&error), "traces can't be sent");
            return;
        }
    };
    while let Some(build) = waiting.recv().await {
        let Some(story) = story(&coordinator, build).await else { continue };
        let outcome = match exporter.send(&spans::of(&story)).await {
            Ok(()) => Export::Sent,
            Err(error) => {
                let error = kiln_plan::fault::chain(&error);
                tracing::warn!(%build, error, "the collector didn't take the trace of a build; it is left out");
                Export::Dropped
            }
        };
        coordinator.meters.traced(outcome);
    }
}

/// What is known of a build that ended; `None` when it was forgotten, or its submitter doesn't record its trace.
async fn story(coordinator: &Coordinator, build: BuildId) -> Option<Story> {
    let mut story = coordinator.ledger.read(|farm| Story::of(farm, build))?;
    if story.build.origin.trace_parent.is_some_and(|TraceParent { sampled, .. }| !sampled) {
        return None;
    }
    let steps = tokio::time::timeout(LAST_EVENTS, async {
        let mut reader = coordinator.events.follow(build, [])?;
        while let Ok(Some(update)) = coordinator.events.next(&mut reader).await {
            for records in update {
                let steps: &mut Steps = story.steps.entry(records.task).or_default();
                let events = records.records.iter().filter_map(|record| record.open(records.task).ok()?);
                events.for_each(|event| steps.take(event.at_ms, &event.kind));
            }
        }
        Some(())
    });
    if !matches!(steps.await, Ok(Some(()))) {
        tracing::debug!(%build, "the trace of a build lacks steps: its events were not to be had");
    }
    Some(story)
}
