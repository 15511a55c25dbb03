//! Which chunks are in the store, and where: some 40 to 75 bytes of memory for each, as a hash table grows.
//!
//! Chunks are told apart by half of their name. Two chunks with the same half would have to be made on purpose, at
//! a cost of 2^64, and whoever pulls the image checks the whole name.

use std::collections::HashMap;

use kiln_model::Timestamp;
use kiln_plan::id::PackId;
use kiln_proto::image::{ChunkId, Found, IndexedPack};

/// Where a chunk lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    pack: u32,
    offset: u32,
    stored: u32,
}

/// A pack that is in the store.
#[derive(Clone, Copy, Debug)]
struct Pack {
    id: PackId,
    size: u64,
    /// When it came, or an upload last relied on it.
    used: Timestamp,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct ChunkIndex {
    chunks: HashMap<u128, Place>,
    packs: Vec<Pack>,
    numbers: HashMap<PackId, u32>,
    collections: u64,
}

impl ChunkIndex {
    /// An index that is in step with this count of collections.
    pub(super) fn new(collections: u64) -> Self {
        Self { collections, ..Self::default() }
    }

    pub(super) const fn collections(&self) -> u64 {
        self.collections
    }

    /// Adds a pack. What was known before stays where it was.
    pub(super) fn add(&mut self, pack: &IndexedPack, now: Timestamp) {
        let id = pack.index.pack;
        if self.numbers.contains_key(&id) {
            return;
        }
        // More packs than that would be 128 PiB.
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        self.packs.push(Pack { id, size: pack.size, used: now });
        self.numbers.insert(id, number);
        for (offset, chunk) in pack.index.places() {
            let place = Place { pack: number, offset, stored: chunk.stored };
            self.chunks.entry(chunk.id.short()).or_insert(place);
        }
    }

    /// Whether a pack is there.
    pub(super) fn has(&self, pack: PackId) -> bool {
        self.numbers.contains_key(&pack)
    }

    /// How large a pack is that is there.
    pub(super) fn size(&self, pack: PackId) -> Option<u64> {
        Some(self.packs[*self.numbers.get(&pack)? as usize].size)
    }

    /// Which of these are there. Their packs count as used.
    pub(super) fn find(&mut self, chunks: &[ChunkId], now: Timestamp) -> Vec<Found> {
        let mut found = Vec::new();
        for (position, chunk) in chunks.iter().enumerate() {
            let Some(place) = self.chunks.get(&chunk.short()) else { continue };
            let pack = &mut self.packs[place.pack as usize];
            pack.used = pack.used.max(now);
            found.push(Found { position, pack: pack.id, offset: place.offset, stored: place.stored });
        }
        found
    }

    /// Every pack with its size and when it was last used.
    pub(super) fn packs(&self) -> impl Iterator<Item = (PackId, u64, Timestamp)> + '_ {
        self.packs.iter().map(|pack| (pack.id, pack.size, pack.used))
    }

    /// Drops packs with their chunks, and is in step with a later count of collections.
    pub(super) fn drop_packs(&mut self, gone: &[PackId], collections: u64) {
        self.collections = collections;
        let mut numbers = vec![None; self.packs.len()];
        let gone: std::collections::HashSet<&PackId> = gone.iter().collect();
        let mut kept = Vec::with_capacity(self.packs.len());
        for (old, pack) in self.packs.iter().enumerate().filter(|(_, pack)| !gone.contains(&pack.id)) {
            numbers[old] = u32::try_from(kept.len()).ok();
            kept.push(*pack);
        }
        self.chunks.retain(|_, place| match numbers[place.pack as usize] {
            Some(number) => {
                place.pack = number;
                true
            }
            None => false,
        });
        self.packs = kept;
        let number = |(number, pack): (usize, &Pack)| Some((pack.id, u32::try_from(number).ok()?));
        self.numbers = self.packs.iter().enumerate().filter_map(number).collect();
    }
}

#[cfg(test)]
mod tests {
    use kiln_proto::image::{PackIndex, PackedChunk};
    use uuid::Uuid;

    use super::*;

    fn pack(n: u128, chunks: &[u8]) -> IndexedPack {
        let chunk = |c: &u8| PackedChunk { id: ChunkId::of(&[*c]), length: 1, stored: 10 };
        let index =
            PackIndex { pack: PackId::new(Uuid::from_u128(n)), chunks: chunks.iter().map(chunk).collect() };
        IndexedPack { index, size: 100, sha256: [0; 32] }
    }

    #[test]
    fn what_was_added_is_found_until_its_pack_goes() {
        let mut index = ChunkIndex::new(0);
        index.add(&pack(1, b"ab"), Timestamp(1));
        index.add(&pack(2, b"bcd"), Timestamp(1));
        index.add(&pack(2, b"bcd"), Timestamp(1));
        let ask: Vec<ChunkId> = b"xabcd".iter().map(|c| ChunkId::of(&[*c])).collect();
        let told = |index: &mut ChunkIndex| {
            let found = index.find(&ask, Timestamp(5)).into_iter();
            found.map(|f| (f.position, f.pack.0.as_u128(), f.offset)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut index), [(1, 1, 0), (2, 1, 10), (3, 2, 10), (4, 2, 20)]);
        index.drop_packs(&[PackId::new(Uuid::from_u128(1))], 7);
        assert_eq!(told(&mut index), [(3, 2, 10), (4, 2, 20)], "a chunk goes with the pack it was found in");
        assert_eq!(index.collections(), 7);
        let packs: Vec<_> = index.packs().map(|(id, size, used)| (id.0.as_u128(), size, used)).collect();
        assert_eq!(packs, [(2, 100, Timestamp(5))]);
    }
}
