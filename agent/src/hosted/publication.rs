//! What a task made becomes an image of the farm, before anybody hears that the task succeeded.
//!
//! ```text
//!   outcome.json: succeeded ──► files of the artifacts ──► chunks, packs, manifest (crate::image) ──► succeeded
//!                                                              └── could not ──► the farm's failure
//! ```
//!
//! The daemon publishes, not the attempt's process: it has the farm's confidence, and that process ran what the template
//! brought. One that is replaced meanwhile begins again; what was sent already is found there.
//!
//! The spool never has two writers. The attempt's process is gone before this begins: its parent has collected it, or its lock
//! was free, which this side then holds. A process that had not come to lock yet finds no order any more and ends
//! before it opens the spool. Of two daemons the second doesn't get past `daemon.lock`, and one that was killed has left at
//! most a torn record, behind which the next one goes on in a file of its own ([`crate::spool`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kiln_component::Reporter;
use kiln_component::reporter::EventSink;
use kiln_plan::event::TaskOutcome;
use kiln_plan::{EventKind, Failure, Fault, Redactor};
use tokio_util::sync::CancellationToken;

use super::place::{About, Place};
use crate::image::{Made, Publisher};
use crate::link::Voice;
use crate::spool::{Limits, Writer};

/// How an attempt ended all in all: what it made is published, and told of in its own spool.
pub(super) async fn after(
    publisher: &Publisher,
    (place, about): (&Place, &About),
    outcome: TaskOutcome,
    voice: &Voice,
    cancel: &CancellationToken,
) -> TaskOutcome {
    let media = match place.media() {
        Ok(media) => media,
        Err(error) => return TaskOutcome::Failed { failure: Failure::from_error(Fault::Machine, &error) },
    };
    let spool = match Writer::open(&place.events(), about.first_sequence, Limits::default()) {
        Ok(spool) => spool,
        Err(error) => return TaskOutcome::Failed { failure: Failure::from_error(Fault::Machine, &error) },
    };
    let pen = Pen { spool: Mutex::new(spool), voice: voice.clone() };
    let reporter = Reporter::new(Arc::new(pen), Arc::new(Redactor::new([])));
    let made = Made {
        build: about.build,
        key: about.key(),
        task_name: &about.task_name,
        bundle: about.bundle,
        working_dir: place.work().join(&about.working_directory),
        times_ms: (about.began_ms, now_ms()),
        media,
        inputs: about.inputs.clone(),
    };
    publisher.after(&made, outcome, &reporter, cancel).await
}

/// Now, in milliseconds since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Writes on in the spool of an attempt whose process has ended.
#[derive(Debug)]
struct Pen {
    spool: Mutex<Writer>,
    voice: Voice,
}

#[async_trait]
impl EventSink for Pen {
    fn send(&self, event: EventKind) {
        let written = self.spool.lock().unwrap_or_else(PoisonError::into_inner).push(now_ms(), &event);
        if let Err(error) = written {
            tracing::warn!(error = kiln_plan::fault::chain(&error), "an event of a publication is lost");
        }
        self.voice.more_events();
    }

    async fn ask(&self, _text: &str) -> Option<String> {
        None
    }
}
