//! An image becomes visible: its manifest is stored, then one command says so.
//!
//! ```text
//!   claim holds? ── published before? ── that one
//!        │
//!        ▼ look: which packs are there, which version is next     ◄──┐ the ledger has moved on:
//!   manifest, with its version, into the store ──► Publish ──────────┘ look again
//!                                                    │
//!                                                  visible
//! ```
//!
//! A manifest whose command was not done is nobody's, and goes with the next collection at the latest.

use kiln_model::build::DEFAULT_PROJECT;
use kiln_model::{Action, Image, ImageAction, ImageRefusal, NewImage, Outcome, Publisher, Refusal};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::PackId;
use kiln_proto::image::{Claim, ImageManifest, ImageRecord, Published};
use kiln_proto::{Bytes, Code, Problem};

use super::{authorise, decoded, index, manifest_key, remember, unavailable};
use crate::Coordinator;

/// How often it is looked again because the ledger has moved on.
const ROUNDS: usize = 8;

/// Makes an image visible.
///
/// # Errors
/// When the claim is stale, the manifest can't be used, or the store or the ledger doesn't answer. It may be visible
/// nevertheless; asking again tells.
pub(crate) async fn publish(
    coordinator: &Coordinator,
    claim: &Claim,
    manifest: Bytes,
) -> Result<Published, Problem> {
    authorise(coordinator, claim)?;
    if let Some(before) = coordinator.ledger.read(|farm| farm.images().of_task(claim.task).map(record)) {
        return Ok(Published::Visible(before));
    }
    let (_, mut manifest) = decoded(manifest).await?;
    if manifest.head.name.contains('/') {
        let told = format!(
            "{:?} is no name for an image: only the farm puts a project before it",
            manifest.head.name
        );
        return Err(Problem::new(Code::Invalid, told));
    }
    certify(coordinator, claim, &mut manifest);
    for _ in 0..ROUNDS {
        let (collections, version) = coordinator
            .ledger
            .read(|farm| (farm.images().collections(), farm.images().next_version(&manifest.head.name)));
        let gone = gone(coordinator, &manifest).await?;
        if !gone.is_empty() {
            return Ok(Published::Gone(gone));
        }
        manifest.head.version = version;
        match enter(coordinator, claim, &manifest, collections).await? {
            Some(visible) => return Ok(Published::Visible(visible)),
            None => tracing::debug!(image = %manifest.head.image, "the ledger has moved on; looking again"),
        }
    }
    Err(Problem::new(Code::Unavailable, "too many images are published at the same time; try again"))
}

/// Writes over what the agent says about matters that the farm knows itself, and puts the project before the name, so that
/// no project writes under another's names.
fn certify(coordinator: &Coordinator, claim: &Claim, manifest: &mut ImageManifest) {
    let provenance = &mut manifest.head.provenance;
    provenance.task = claim.task;
    provenance.attempt = claim.attempt;
    provenance.epoch = claim.epoch;
    provenance.agent = claim.agent;
    coordinator.ledger.read(|farm| {
        if let Some(task) = farm.tasks().get(&claim.task) {
            provenance.build = task.build;
            let project = farm.builds().get(&task.build).map(|build| build.origin.project.as_str());
            if let Some(project) = project.filter(|project| *project != DEFAULT_PROJECT) {
                manifest.head.name = format!("{project}/{}", manifest.head.name);
            }
            provenance.task_name.clone_from(&task.name);
            provenance.plan = Some(task.plan.to_string());
        }
        if let Some(agent) = farm.agents().get(&claim.agent) {
            provenance.agent_name.clone_from(&agent.name);
        }
    });
}

/// The packs that the manifest needs and that are not there.
///
/// # Errors
/// When the index can't be read, or a chunk lies outside its pack.
async fn gone(coordinator: &Coordinator, manifest: &ImageManifest) -> Result<Vec<PackId>, Problem> {
    let index = index(coordinator).await?;
    let size = |pack: &PackId| index.as_ref().and_then(|index| index.size(*pack));
    let sizes: Vec<Option<u64>> = manifest.head.packs.iter().map(size).collect();
    let outside = manifest.chunks.iter().find(|chunk| {
        let end = u64::from(chunk.offset) + u64::from(chunk.stored);
        sizes[chunk.pack as usize].is_some_and(|size| end > size)
    });
    if let Some(chunk) = outside {
        return Err(Problem::new(Code::Invalid, format!("chunk {} lies outside its pack", chunk.id)));
    }
    let packs = manifest.head.packs.iter().zip(&sizes);
    Ok(packs.filter(|(_, size)| size.is_none()).map(|(pack, _)| *pack).collect())
}

/// Stores the manifest and proposes the command. `None` when it has to be looked again.
async fn enter(
    coordinator: &Coordinator,
    claim: &Claim,
    manifest: &ImageManifest,
    collections: u64,
) -> Result<Option<ImageRecord>, Problem> {
    let head = &manifest.head;
    let bytes = Bytes::from(manifest.encode());
    let image = NewImage {
        id: head.image,
        name: head.name.clone(),
        version: head.version,
        size: manifest.size(),
        files: u32::try_from(head.files.len()).unwrap_or(u32::MAX),
        manifest: Fingerprint::of_bytes(&bytes),
    };
    let key = manifest_key(image.id, image.version);
    let store = &coordinator.images.store;
    store.put(&key, bytes).await.map_err(|error| unavailable(&error))?;
    let by = Publisher { agent: claim.agent, task: claim.task, attempt: claim.attempt, epoch: claim.epoch };
    let action = Action::Image(ImageAction::Publish { by, image, collections });
    let outcome = coordinator.ledger.propose(action).await?;
    if outcome == (Outcome::Published { image: head.image }) {
        remember(&coordinator.images, head.image, manifest);
        return Ok(coordinator.ledger.read(|farm| farm.images().of_task(claim.task).map(record)));
    }
    if let Err(error) = store.delete(&key).await {
        tracing::warn!(error = kiln_plan::fault::chain(&error), "a manifest was left behind");
    }
    match outcome {
        Outcome::Refused(Refusal::Image(ImageRefusal::Collected | ImageRefusal::Version { .. })) => Ok(None),
        Outcome::Refused(refusal) => Err(Problem::from_error(code(&refusal), &refusal)),
        // Another request of the same attempt was quicker.
        _ => Ok(coordinator.ledger.read(|farm| farm.images().of_task(claim.task).map(record))),
    }
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::StaleEpoch { .. } | Refusal::UnknownTask(_) => Code::Stale,
        Refusal::Image(ImageRefusal::LeaseExpired(_)) => Code::Unavailable,
        Refusal::Image(ImageRefusal::Name(_)) => Code::Invalid,
        _ => Code::Refused,
    }
}

/// An image as it is told.
pub(super) fn record(image: &Image) -> ImageRecord {
    ImageRecord {
        image: image.id,
        name: image.name.clone(),
        version: image.version,
        published_ms: image.published.0,
        size: image.size,
        files: image.files,
        build: image.build,
        project: image.project.clone(),
        task: image.task,
        digest: image.manifest.to_string(),
    }
}
