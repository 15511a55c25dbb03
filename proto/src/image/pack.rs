//! A pack: zstd frames one after the other, then what they are, then where that begins. And the index of many.

use kiln_plan::id::PackId;
use uuid::Uuid;

use super::{CHUNK_LIMIT, ChunkId, ImageFormatError, column, contradiction, ids, open, seal};
use crate::rest::generated;

/// How a pack ends.
const ENDING: &[u8; 8] = b"KILNPACK";

/// The most bytes of a pack: places in it are 32 bits wide, and it is sent in one piece.
const PACK_LIMIT: u64 = 1 << 30;

/// A chunk in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedChunk {
    /// Its name.
    pub id: ChunkId,
    /// Its bytes.
    pub length: u32,
    /// The bytes of its frame.
    pub stored: u32,
}

/// What is in a pack, in order, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackIndex {
    /// Which pack.
    pub pack: PackId,
    /// Its chunks.
    pub chunks: Vec<PackedChunk>,
}

impl PackIndex {
    /// Each chunk with the place where its frame begins.
    pub fn places(&self) -> impl Iterator<Item = (u32, &PackedChunk)> {
        self.chunks.iter().scan(0_u32, |offset, chunk| {
            let place = *offset;
            *offset += chunk.stored;
            Some((place, chunk))
        })
    }

    fn to_message(&self) -> generated::PackIndex {
        generated::PackIndex {
            pack: self.pack.0.as_bytes().to_vec().into(),
            chunk_ids: column(self.chunks.iter().map(|c| c.id)).into(),
            lengths: self.chunks.iter().map(|c| c.length).collect(),
            stored: self.chunks.iter().map(|c| c.stored).collect(),
        }
    }

    fn from_message(index: &generated::PackIndex) -> Result<Self, ImageFormatError> {
        const WHAT: &str = "index of a pack";
        let pack = Uuid::from_slice(&index.pack).map_err(|_| contradiction(WHAT, "the pack has no name"))?;
        let count = index.lengths.len();
        if index.chunk_ids.len() != count * 32 || index.stored.len() != count {
            return Err(contradiction(WHAT, "its columns are not of the same length"));
        }
        let rows = ids(&index.chunk_ids).zip(&index.lengths).zip(&index.stored);
        let chunks: Vec<PackedChunk> =
            rows.map(|((id, length), stored)| PackedChunk { id, length: *length, stored: *stored }).collect();
        if chunks.iter().any(|c| c.length == 0 || c.length > CHUNK_LIMIT || c.stored > 2 * CHUNK_LIMIT) {
            return Err(contradiction(WHAT, "a chunk is empty or too large"));
        }
        if chunks.iter().map(|c| u64::from(c.stored)).sum::<u64>() > PACK_LIMIT {
            return Err(contradiction(WHAT, "the pack is too large"));
        }
        Ok(Self { pack: PackId::new(pack), chunks })
    }

    /// As it is sent and stored.
    pub fn encode(&self) -> Vec<u8> {
        seal(&self.to_message())
    }

    /// Reads what [`PackIndex::encode`] wrote.
    ///
    /// # Errors
    /// When it is damaged, too new, or contradicts itself.
    pub fn decode(record: &[u8]) -> Result<Self, ImageFormatError> {
        Self::from_message(&open("index of a pack", record)?)
    }

    /// Ends a pack: adds this index behind its frames.
    pub fn finish(&self, frames: &mut Vec<u8>) {
        let index = self.encode();
        frames.extend_from_slice(&index);
        let length = u32::try_from(index.len()).expect("an index is far smaller than 4 GiB");
        frames.extend_from_slice(&length.to_le_bytes());
        frames.extend_from_slice(ENDING);
    }

    /// The index in a pack, or in as much of its end as holds it.
    ///
    /// # Errors
    /// When there is no whole index at the end.
    pub fn from_end(pack: &[u8]) -> Result<Self, ImageFormatError> {
        let broken = || contradiction("pack", "its end is missing");
        let rest = pack.strip_suffix(ENDING).ok_or_else(broken)?;
        let (rest, length) = rest.split_last_chunk::<4>().ok_or_else(broken)?;
        let begin = rest.len().checked_sub(u32::from_le_bytes(*length) as usize).ok_or_else(broken)?;
        Self::decode(&rest[begin..])
    }
}

/// A pack that was seen in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedPack {
    /// What is in it.
    pub index: PackIndex,
    /// The bytes of the whole object.
    pub size: u64,
    /// The SHA-256 of the whole object.
    pub sha256: [u8; 32],
}

/// Many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// In no particular order.
    pub packs: Vec<IndexedPack>,
}

impl Index {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let pack = |pack: &IndexedPack| generated::FinishedPack {
            index: Some(pack.index.to_message()),
            size: pack.size,
            sha256: pack.sha256.to_vec().into(),
        };
        seal(&generated::Index { packs: self.packs.iter().map(pack).collect() })
    }

    /// Reads what [`Index::encode`] wrote.
    ///
    /// # Errors
    /// When it is damaged, too new, or contradicts itself.
    pub fn decode(record: &[u8]) -> Result<Self, ImageFormatError> {
        let index: generated::Index = open("index of packs", record)?;
        let pack = |pack: generated::FinishedPack| {
            let sha256 = <[u8; 32]>::try_from(&*pack.sha256);
            Ok(IndexedPack {
                index: PackIndex::from_message(&pack.index.unwrap_or_default())?,
                size: pack.size,
                sha256: sha256.map_err(|_| contradiction("index of packs", "a digest has not 32 bytes"))?,
            })
        };
        Ok(Self { packs: index.packs.into_iter().map(pack).collect::<Result<_, ImageFormatError>>()? })
    }
}
