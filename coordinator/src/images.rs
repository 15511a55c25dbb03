//! Images on the coordinator: which chunks are there, who may send more, what becomes visible, what may go. No byte of
//! an image comes by here.
//!
//! ```text
//!   agent ── claim ──► find · grant · finish · publish ──► ledger: Publish
//!                         │              │        │
//!                  chunk index ◄─────────┘        └► images/ID.VERSION
//!                  (in memory, on the leader;
//!                   from index/… and packs/…)      collect ──► ledger: Condemn ──► delete ──► ledger: Forget
//! ```
//!
//! The index is the leader's, for one term. It is loaded when it is first needed, and again whenever the ledger counts
//! another collection than it knows of, so that nobody is promised a chunk that is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kiln_model::task::Standing;
use kiln_model::{Image, Refusal};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{ImageId, PackId};
use kiln_proto::image::{ChunkId, Claim, FinishedPack, Found, Grant, ImageManifest, IndexedPack, PackFacts};
use kiln_proto::{Bytes, Code, Problem};
use tokio::sync::MutexGuard;

pub(crate) mod collect;
mod index;
mod people;
mod publish;
mod shelf;

use crate::Coordinator;
use crate::store::{Access, Store, StoreError};
use crate::terms::Term;
use index::ChunkIndex;
pub(crate) use people::{delete, grant_pull, list, show, verify};
pub(crate) use publish::publish;

/// How long a link lasts: long enough for one pack over a slow line, and no longer.
const LINK_LIFE: Duration = Duration::from_secs(15 * 60);

/// The most chunks of one question, packs of one request, and bytes of one pack.
const CHUNKS_AT_ONCE: usize = 16_384;
const PACKS_AT_ONCE: usize = 64;
const PACK_LIMIT: u64 = 160 << 20;

/// Calls to the store at a time.
const CALLS: usize = 12;

/// What is kept in memory about images.
#[derive(Debug)]
pub(crate) struct Images {
    store: Store,
    index: tokio::sync::Mutex<Option<ChunkIndex>>,
    /// The term that the index was loaded in.
    term: Mutex<Option<Term>>,
    /// One collection at a time.
    collecting: tokio::sync::Mutex<()>,
    /// What each image needs. Images never change.
    needs: Mutex<HashMap<ImageId, Arc<[PackId]>>>,
}

impl Images {
    /// The images of a store. Nothing is loaded yet.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            index: <_>::default(),
            term: <_>::default(),
            collecting: <_>::default(),
            needs: <_>::default(),
        }
    }
}

fn unavailable(error: &StoreError) -> Problem {
    Problem::from_error(Code::Unavailable, error)
}

/// Where a pack lies.
fn pack_key(pack: PackId) -> String {
    format!("packs/{pack}")
}

/// Where a manifest lies.
fn manifest_key(image: ImageId, version: u64) -> String {
    format!("images/{image}.{version}")
}

/// The index, in step with the ledger.
async fn index(coordinator: &Coordinator) -> Result<MutexGuard<'_, Option<ChunkIndex>>, Problem> {
    let images = &coordinator.images;
    let term = coordinator.terms.current()?;
    let mut kept = images.index.lock().await;
    let (collections, doomed) =
        coordinator.ledger.read(|farm| (farm.images().collections(), farm.images().doomed().clone()));
    // Another leader may have taken packs between two terms.
    let of_term = {
        let mut loaded_in = images.term.lock().unwrap_or_else(PoisonError::into_inner);
        let same = loaded_in.as_ref().is_some_and(|loaded_in| !loaded_in.is_over());
        *loaded_in = Some(term);
        same
    };
    if !of_term || kept.as_ref().is_none_or(|index| index.collections() != collections) {
        *kept = None;
        let loaded = shelf::load(&images.store, &doomed, collections, coordinator.clock.now());
        *kept = Some(loaded.await.map_err(|error| unavailable(&error))?);
    }
    Ok(kept)
}

/// Whether the claim holds at this moment.
///
/// # Errors
/// When somebody else has the task, or the lease has run out.
pub(crate) fn authorise(coordinator: &Coordinator, claim: &Claim) -> Result<(), Problem> {
    coordinator.ledger.read(|farm| {
        let unknown = Refusal::UnknownTask(claim.task);
        let task = farm.tasks().get(&claim.task);
        let task = task.ok_or_else(|| Problem::from_error(Code::Stale, &unknown))?;
        match task.standing(claim.agent, claim.attempt, claim.epoch) {
            Standing::Held => Ok(()),
            // It may get it back with its next word, so it shall try again.
            Standing::Expired => {
                let expired = kiln_model::ImageRefusal::LeaseExpired(claim.task);
                Err(Problem::from_error(Code::Unavailable, &expired))
            }
            Standing::Stale => {
                let stale = Refusal::StaleEpoch { task: claim.task, given: claim.epoch, current: task.epoch };
                Err(Problem::from_error(Code::Stale, &stale))
            }
        }
    })
}

/// Which of these chunks are there, and where.
///
/// # Errors
/// When the claim is stale, or the index can't be read.
pub(crate) async fn find(
    coordinator: &Coordinator,
    claim: &Claim,
    chunks: &[ChunkId],
) -> Result<Vec<Found>, Problem> {
    authorise(coordinator, claim)?;
    if chunks.len() > CHUNKS_AT_ONCE {
        let told = format!("{} chunks are more than {CHUNKS_AT_ONCE} at a time", chunks.len());
        return Err(Problem::new(Code::TooLarge, told));
    }
    let mut index = index(coordinator).await?;
    let now = coordinator.clock.now();
    Ok(index.as_mut().map(|index| index.find(chunks, now)).unwrap_or_default())
}

/// Links to send packs by.
///
/// # Errors
/// When the claim is stale, or no link can be made.
pub(crate) async fn grant(
    coordinator: &Coordinator,
    claim: &Claim,
    packs: &[PackFacts],
) -> Result<Vec<Grant>, Problem> {
    authorise(coordinator, claim)?;
    at_once(packs.len())?;
    if let Some(large) = packs.iter().find(|pack| pack.size > PACK_LIMIT) {
        let told = format!("pack {} has {} bytes, more than {PACK_LIMIT}", large.pack, large.size);
        return Err(Problem::new(Code::TooLarge, told));
    }
    // A pack that is in the index is never written again.
    let taken = index(coordinator).await?.as_ref().is_some_and(|i| packs.iter().any(|p| i.has(p.pack)));
    if taken {
        return Err(Problem::new(Code::Refused, "a pack of this name is there already"));
    }
    let access = |pack: &PackFacts| (pack.pack, Access::Write { size: pack.size, sha256: pack.sha256 });
    links(coordinator, packs.iter().map(access).collect()).await
}

fn at_once(packs: usize) -> Result<(), Problem> {
    if packs > PACKS_AT_ONCE {
        let told = format!("{packs} packs are more than {PACKS_AT_ONCE} at a time");
        return Err(Problem::new(Code::TooLarge, told));
    }
    Ok(())
}

async fn links(coordinator: &Coordinator, packs: Vec<(PackId, Access)>) -> Result<Vec<Grant>, Problem> {
    let store = &coordinator.images.store;
    let link = |(pack, access): (PackId, Access)| async move {
        let link = store.link(&pack_key(pack), &access, LINK_LIFE).await?;
        Ok(Grant { pack, url: link.url, headers: link.headers })
    };
    let made = futures::stream::iter(packs.into_iter().map(link)).buffered(CALLS).try_collect();
    made.await.map_err(|error| match error {
        StoreError::NoLinks(_) => Problem::from_error(Code::Refused, &error),
        _ => unavailable(&error),
    })
}

/// Takes packs that were sent, if they are there: only what was seen in the store counts. Returns the others.
///
/// # Errors
/// When the claim is stale, or the store doesn't answer.
pub(crate) async fn finish(
    coordinator: &Coordinator,
    claim: &Claim,
    packs: Vec<FinishedPack>,
) -> Result<Vec<PackId>, Problem> {
    authorise(coordinator, claim)?;
    at_once(packs.len())?;
    let store = &coordinator.images.store;
    let seen = |pack: FinishedPack| async move {
        let facts = store.head(&pack_key(pack.facts.pack)).await?;
        Ok((facts.is_some_and(|facts| facts.size == pack.facts.size), pack))
    };
    let seen: Vec<(bool, FinishedPack)> = futures::stream::iter(packs.into_iter().map(seen))
        .buffered(CALLS)
        .try_collect()
        .await
        .map_err(|error| unavailable(&error))?;
    let (there, lost): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(there, _)| *there);
    let indexed = |(_, pack): (bool, FinishedPack)| IndexedPack {
        index: pack.index,
        size: pack.facts.size,
        sha256: pack.facts.sha256,
    };
    let mut there: Vec<IndexedPack> = there.into_iter().map(indexed).collect();
    let mut lost: Vec<PackId> = lost.into_iter().map(|(_, pack)| pack.facts.pack).collect();
    if !there.is_empty() {
        // First on the shelf, then in memory: what is promised must survive this coordinator.
        shelf::keep(store, &there).await.map_err(|error| unavailable(&error))?;
        let now = coordinator.clock.now();
        let mut index = index(coordinator).await?;
        // A pack that lay unfinished for too long may be on its way out. Nothing is condemned while the index is held.
        let doomed = coordinator.ledger.read(|farm| farm.images().doomed().clone());
        there.retain(|pack| {
            !doomed.contains(&pack.index.pack) || {
                lost.push(pack.index.pack);
                false
            }
        });
        if let Some(index) = index.as_mut() {
            there.iter().for_each(|pack| index.add(pack, now));
        }
    }
    Ok(lost)
}

/// The manifest of an image, as it was published.
async fn manifest(coordinator: &Coordinator, image: &Image) -> Result<(Bytes, ImageManifest), Problem> {
    let key = manifest_key(image.id, image.version);
    let bytes = coordinator.images.store.get(&key).await.map_err(|error| unavailable(&error))?;
    let lost = || Problem::new(Code::Internal, format!("the manifest {key} is not in the object store"));
    let bytes = bytes.ok_or_else(lost)?;
    if Fingerprint::of_bytes(&bytes) != image.manifest {
        return Err(Problem::new(
            Code::Internal,
            format!("the manifest {key} was changed in the object store"),
        ));
    }
    let (bytes, manifest) = decoded(bytes).await?;
    remember(&coordinator.images, image.id, &manifest);
    Ok((bytes, manifest))
}

/// Reads a manifest where it may take its time.
async fn decoded(bytes: Bytes) -> Result<(Bytes, ImageManifest), Problem> {
    let read = move || {
        let manifest = ImageManifest::decode(&bytes);
        (bytes, manifest)
    };
    let broke_off = |_| Problem::new(Code::Internal, "reading a manifest broke off; please report it");
    let (bytes, manifest) = tokio::task::spawn_blocking(read).await.map_err(broke_off)?;
    Ok((bytes, manifest.map_err(|error| Problem::from_error(Code::Invalid, &error))?))
}

fn remember(images: &Images, image: ImageId, manifest: &ImageManifest) {
    let mut needs = images.needs.lock().unwrap_or_else(PoisonError::into_inner);
    needs.entry(image).or_insert_with(|| manifest.head.packs.clone().into());
}

/// The packs that an image needs.
async fn needs(coordinator: &Coordinator, image: &Image) -> Result<Arc<[PackId]>, Problem> {
    let known = {
        let needs = coordinator.images.needs.lock().unwrap_or_else(PoisonError::into_inner);
        needs.get(&image.id).cloned()
    };
    match known {
        Some(packs) => Ok(packs),
        None => Ok(manifest(coordinator, image).await?.1.head.packs.into()),
    }
}
