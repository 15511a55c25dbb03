//! What no image needs goes: packs, and manifests that never became visible or were deleted.
//!
//! ```text
//!   look what images need (publications = m) ──► candidates: not needed, not used within the grace
//!        ▲                                            │ Condemn, refused if anything was published since m
//!        └──────────── look again ◄───────────────────┤
//!                                                     ▼ doomed: the index forgets them
//!                                      delete ──► Forget
//! ```
//!
//! A collector that dies leaves packs doomed; the next one deletes them.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kiln_model::image::CONDEMN_LIMIT;
use kiln_model::{Action, Image, ImageAction, ImageRefusal, Outcome, Refusal};
use kiln_plan::id::PackId;
use kiln_proto::{Code, Problem};

use super::{CALLS, index, manifest_key, needs, pack_key, shelf, unavailable};
use crate::Coordinator;

/// What was used within this time is kept, unless somebody wants otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// How often it is looked again because images were published meanwhile.
const ROUNDS: usize = 8;

/// What a collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Packs that went, and their bytes.
    pub(crate) packs: u64,
    pub(crate) bytes: u64,
    /// Packs that stay, and their bytes.
    pub(crate) kept_packs: u64,
    pub(crate) kept_bytes: u64,
}

/// What is to go, and the count of publications at which that was found out.
struct Candidates {
    packs: Vec<PackId>,
    publications: u64,
    collected: Collected,
}

/// Deletes what no image needs.
///
/// # Errors
/// When the store or the ledger doesn't answer. What was begun is finished by the next collection.
pub(crate) async fn collect(
    coordinator: &Coordinator,
    dry_run: bool,
    grace: Duration,
) -> Result<Collected, Problem> {
    let _alone = coordinator.images.collecting.lock().await;
    if !dry_run {
        delete_doomed(coordinator).await?;
    }
    for _ in 0..ROUNDS {
        let candidates = candidates(coordinator, grace).await?;
        if dry_run || candidates.packs.is_empty() || condemn(coordinator, &candidates).await? {
            if !dry_run {
                delete_doomed(coordinator).await?;
                sweep_manifests(coordinator, grace).await?;
            }
            return Ok(candidates.collected);
        }
    }
    Err(Problem::new(Code::Unavailable, "images are being published all the time; try again"))
}

async fn candidates(coordinator: &Coordinator, grace: Duration) -> Result<Candidates, Problem> {
    let (publications, images) = coordinator.ledger.read(|farm| {
        let images = farm.images();
        (images.publications(), images.visible().values().cloned().collect::<Vec<Image>>())
    });
    let all = images.into_iter().map(|image| async move { needs(coordinator, &image).await });
    let all = futures::stream::iter(all).buffered(CALLS);
    let needed: Vec<_> = all.try_collect().await?;
    let needed: HashSet<PackId> = needed.iter().flat_map(|packs| packs.iter().copied()).collect();
    let there = shelf::packs(&coordinator.images.store).await.map_err(|error| unavailable(&error))?;
    let now = coordinator.clock.now();
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let mut known = HashSet::new();
    let mut packs = Vec::new();
    let mut collected = Collected::default();
    let mut weigh = |pack: PackId, size: u64, used_ms: u64| {
        if needed.contains(&pack) || now.0.saturating_sub(used_ms) < grace_ms {
            collected.kept_packs += 1;
            collected.kept_bytes += size;
        } else {
            collected.packs += 1;
            collected.bytes += size;
            packs.push(pack);
        }
    };
    if let Some(index) = index(coordinator).await?.as_ref() {
        for (pack, size, used) in index.packs() {
            known.insert(pack);
            weigh(pack, size, used.0);
        }
    }
    // Sent, but never finished. Their age is by the store's clock, which the grace forgives.
    for (pack, (size, modified_ms)) in there {
        if !known.contains(&pack) {
            weigh(pack, size, modified_ms);
        }
    }
    Ok(Candidates { packs, publications, collected })
}

/// Condemns what is to go. False when images were published since it was looked.
async fn condemn(coordinator: &Coordinator, candidates: &Candidates) -> Result<bool, Problem> {
    // Held throughout, so that no chunk of these is promised between the command and the index.
    let mut kept = index(coordinator).await?;
    for packs in candidates.packs.chunks(CONDEMN_LIMIT) {
        let publications = candidates.publications;
        let condemn = ImageAction::Condemn { packs: packs.to_vec(), publications };
        let outcome = coordinator.ledger.propose(Action::Image(condemn)).await;
        if !matches!(outcome, Ok(Outcome::Done)) {
            *kept = None;
        }
        match outcome? {
            Outcome::Refused(Refusal::Image(ImageRefusal::Published)) => return Ok(false),
            Outcome::Refused(refusal) => return Err(Problem::from_error(Code::Refused, &refusal)),
            _ => {}
        }
        let collections = coordinator.ledger.read(|farm| farm.images().collections());
        if let Some(index) = kept.as_mut() {
            index.drop_packs(packs, collections);
        }
    }
    Ok(true)
}

/// Deletes what is doomed, also what an earlier collector left.
async fn delete_doomed(coordinator: &Coordinator) -> Result<(), Problem> {
    let doomed: Vec<PackId> =
        coordinator.ledger.read(|farm| farm.images().doomed().iter().copied().collect());
    let store = &coordinator.images.store;
    for packs in doomed.chunks(CONDEMN_LIMIT) {
        let delete = |pack: &PackId| {
            let key = pack_key(*pack);
            async move { store.delete(&key).await }
        };
        let deleted = futures::stream::iter(packs.iter().map(delete)).buffered(CALLS).try_collect::<()>();
        deleted.await.map_err(|error| unavailable(&error))?;
        let mut kept = index(coordinator).await?;
        let forget = Action::Image(ImageAction::Forget { packs: packs.to_vec() });
        let outcome = coordinator.ledger.propose(forget).await;
        match (outcome, kept.as_mut()) {
            (Ok(Outcome::Done), Some(index)) => {
                let collections = coordinator.ledger.read(|farm| farm.images().collections());
                index.drop_packs(packs, collections);
            }
            (outcome, _) => {
                *kept = None;
                outcome?;
            }
        }
    }
    Ok(())
}

/// Deletes manifests that no visible image has.
async fn sweep_manifests(coordinator: &Coordinator, grace: Duration) -> Result<(), Problem> {
    let store = &coordinator.images.store;
    // Listed before the ledger is read: what is published between is in the ledger.
    let listed = store.list("images").await.map_err(|error| unavailable(&error))?;
    let visible: HashSet<String> = coordinator.ledger.read(|farm| {
        let images = farm.images().visible().values();
        images.map(|image| manifest_key(image.id, image.version)).collect()
    });
    let now = coordinator.clock.now().0;
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let old = |modified_ms: u64| now.saturating_sub(modified_ms) >= grace_ms.max(PUBLISHING_MS);
    for object in listed.iter().filter(|o| !visible.contains(&o.key) && old(o.modified_ms)) {
        store.delete(&object.key).await.map_err(|error| unavailable(&error))?;
    }
    Ok(())
}

/// Longer than any publication lies between a manifest and its command.
const PUBLISHING_MS: u64 = 10 * 60 * 1_000;

/// What is done from time to time without being asked: finish what a collector left, collect what is old, and put the
/// index together. Returns how much was done.
pub(crate) async fn tend(coordinator: &Coordinator) -> Result<usize, Problem> {
    let empty = coordinator
        .ledger
        .read(|farm| farm.images().publications() == 0 && farm.images().doomed().is_empty());
    if empty && shelf::packs(&coordinator.images.store).await.map_err(|e| unavailable(&e))?.is_empty() {
        return Ok(0);
    }
    let collected = collect(coordinator, false, GRACE).await?;
    let merged = shelf::put_together(&coordinator.images.store).await.map_err(|error| unavailable(&error))?;
    Ok(usize::try_from(collected.packs).unwrap_or(usize::MAX).saturating_add(merged))
}
