//! What a task made becomes an image of the farm, before anybody hears that the task succeeded.
//!
//! ```text
//!   outcome.json: succeeded ──► files of the artifacts ──► chunks, packs, manifest (crate::image) ──► succeeded
//!                                                              └── could not ──► the farm's failure
//! ```
//!
//! The daemon publishes, not the attempt's process: it has the farm's confidence, and that process ran what the template
//! brought. One that is replaced meanwhile begins again; what was sent already is found there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kiln_component::Reporter;
use kiln_component::reporter::EventSink;
use kiln_plan::id::AgentId;
use kiln_plan::{ArtifactRecord, EventKind, Failure, Fault, Redactor};
use kiln_proto::image::Provenance;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::place::{About, Place};
use crate::image::{Publication, SourceFile, Transfer, publish};
use crate::link::Voice;
use crate::spool::{Limits, Writer};

/// Publishes what attempts made.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The way to the coordinator.
    pub channel: Channel,
    /// The way to the object store.
    pub transfer: Transfer,
    /// Who publishes.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// The programs of this machine with their versions.
    pub tools: BTreeMap<String, String>,
}

impl Publisher {
    /// Publishes the files of artifacts as one image; nothing when they have none.
    ///
    /// # Errors
    /// Why the task did not succeed after all.
    pub(super) async fn publish(
        &self,
        (place, about): (&Place, &About),
        artifacts: &[ArtifactRecord],
        voice: &Voice,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let working_dir = place.work().join(&about.working_directory);
        let files = files(artifacts, &working_dir);
        if files.is_empty() {
            return Ok(());
        }
        let spool = Writer::open(&place.events(), about.first_sequence, Limits::default());
        let spool = spool.map_err(|error| Failure::from_error(Fault::Machine, &error))?;
        let pen = Pen { spool: Mutex::new(spool), voice: voice.clone() };
        let reporter = Reporter::new(Arc::new(pen), Arc::new(Redactor::new([])));
        let publication =
            Publication { name: about.task_name.clone(), files, provenance: self.provenance(about) };
        publish(self.channel.clone(), &self.transfer, &publication, &reporter, cancel).await?;
        Ok(())
    }

    fn provenance(&self, about: &About) -> Provenance {
        Provenance {
            build: about.build,
            task: about.task,
            task_name: about.task_name.clone(),
            attempt: about.attempt,
            epoch: about.epoch,
            agent: self.agent,
            agent_name: self.name.clone(),
            kiln: env!("CARGO_PKG_VERSION").to_owned(),
            bundle: about.bundle.map(|bundle| bundle.to_string()),
            plan: Some(about.plan.clone()),
            inputs: Vec::new(),
            media: Vec::new(),
            tools: self.tools.clone(),
            began_ms: about.began_ms,
            ended_ms: now_ms(),
        }
    }
}

/// The files of artifacts that are there, each once: several artifacts may have the same.
fn files(artifacts: &[ArtifactRecord], working_dir: &Path) -> Vec<SourceFile> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for file in artifacts.iter().flat_map(|artifact| &artifact.files) {
        let path = working_dir.join(&file.path);
        if path.is_file() && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.into_iter().map(|path| SourceFile::of(path, working_dir)).collect()
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
