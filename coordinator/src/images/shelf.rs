//! The index of chunks at rest. Each finished pack gets an object of its own under `index/`; from time to time they
//! are put together, so that a new leader reads few.
//!
//! An object that was put together is written before the ones it replaces go, and names nothing that they don't, so it
//! does no harm when two leaders do it, or one dies in between.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt};
use kiln_model::Timestamp;
use kiln_plan::id::PackId;
use kiln_proto::image::{Index, IndexedPack};
use uuid::Uuid;

use super::CALLS;
use super::index::ChunkIndex;
use crate::store::{Store, StoreError};

/// So many objects are put together, up to so many chunks in one.
const MANY: usize = 64;
const CHUNKS_TOGETHER: usize = 400_000;

/// How often the list is read again because objects went away meanwhile.
const TRIES: usize = 5;

const FOLDER: &str = "index";

/// Writes down what is in packs.
pub(super) async fn keep(store: &Store, packs: &[IndexedPack]) -> Result<(), StoreError> {
    let key = format!("{FOLDER}/{}", Uuid::now_v7());
    store.put(&key, Index { packs: packs.to_vec() }.encode().into()).await
}

/// All packs that lie in the store, with their sizes and ages.
pub(super) async fn packs(store: &Store) -> Result<HashMap<PackId, (u64, u64)>, StoreError> {
    let listed = store.list("packs").await?;
    let pack = |o: crate::store::ObjectFacts| {
        Some((o.key.rsplit('/').next()?.parse::<PackId>().ok()?, (o.size, o.modified_ms)))
    };
    Ok(listed.into_iter().filter_map(pack).collect())
}

/// Reads the whole index, without packs that are not there or about to go.
pub(super) async fn load(
    store: &Store,
    doomed: &BTreeSet<PackId>,
    collections: u64,
    now: Timestamp,
) -> Result<ChunkIndex, StoreError> {
    let mut tries = 0;
    let objects = loop {
        tries += 1;
        match read_all(store).await? {
            Some(objects) => break objects,
            // Put together by another leader while it was read.
            None if tries < TRIES => {}
            None => break Vec::new(),
        }
    };
    // Listed after the index was read: a pack that came meanwhile is only not yet known.
    let there = packs(store).await?;
    let mut index = ChunkIndex::new(collections);
    let sound = |pack: &&IndexedPack| {
        let id = pack.index.pack;
        there.get(&id).is_some_and(|(size, _)| *size == pack.size) && !doomed.contains(&id)
    };
    for (_, object) in &objects {
        object.packs.iter().filter(sound).for_each(|pack| index.add(pack, now));
    }
    Ok(index)
}

/// All index objects by their keys; `None` when one went away while they were read.
async fn read_all(store: &Store) -> Result<Option<Vec<(String, Index)>>, StoreError> {
    let keys = store.list(FOLDER).await?.into_iter().map(|object| object.key);
    let read = |key: String| async move {
        let Some(bytes) = store.get(&key).await? else { return Ok(None) };
        match Index::decode(&bytes) {
            Ok(index) => Ok(Some((key, index))),
            Err(error) => {
                // What it names counts as missing, and is sent again.
                let error = kiln_plan::fault::chain(&error);
                tracing::error!(key, error, "an index of chunks can't be read");
                Ok(Some((key, Index::default())))
            }
        }
    };
    let read: Vec<Option<_>> = futures::stream::iter(keys.map(read)).buffered(CALLS).try_collect().await?;
    Ok(read.into_iter().collect())
}

/// Puts objects together when there are many. Returns how many went.
pub(super) async fn put_together(store: &Store) -> Result<usize, StoreError> {
    if store.list(FOLDER).await?.len() < MANY {
        return Ok(0);
    }
    let Some(mut objects) = read_all(store).await? else { return Ok(0) };
    objects.retain(|(_, object)| chunks(&object.packs) < CHUNKS_TOGETHER / 2);
    let there = packs(store).await?;
    let mut together = Index::default();
    let mut named = BTreeSet::new();
    for pack in objects.iter().flat_map(|(_, object)| &object.packs) {
        if !there.contains_key(&pack.index.pack) || !named.insert(pack.index.pack) {
            continue;
        }
        together.packs.push(pack.clone());
        if chunks(&together.packs) >= CHUNKS_TOGETHER {
            keep(store, &std::mem::take(&mut together).packs).await?;
        }
    }
    keep(store, &together.packs).await?;
    for (key, _) in &objects {
        store.delete(key).await?;
    }
    Ok(objects.len())
}

fn chunks(packs: &[IndexedPack]) -> usize {
    packs.iter().map(|pack| pack.index.chunks.len()).sum()
}
