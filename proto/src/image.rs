//! Images at rest: files cut into chunks by content, chunks in packs, and one manifest that says where all lies.
//!
//! ```text
//!   images/ID.VERSION   Manifest: head (who, from what, which files) · pieces of files · places of chunks
//!   packs/ID            frame frame frame … | PackIndex | its length, "KILNPACK"
//!   index/ID            Index: what is in which finished pack; how a new leader learns it quickly
//! ```
//!
//! A chunk is known by the BLAKE3 of its bytes. Where it was cut depends only on the bytes around it, so two images
//! that share files share chunks, wherever those files lie in them.

use std::fmt;

mod exchange;
mod manifest;
mod pack;
#[cfg(test)]
mod tests;

pub use exchange::{
    Claim, FinishedPack, Found, Grant, ImageRecord, PackFacts, Published, find_request, found_in,
};
pub use manifest::{
    ChunkEntry, ImageFile, ImageManifest, InputDigest, ManifestHead, Piece, Provenance, safe_path,
};
pub use pack::{Index, IndexedPack, PackIndex, PackedChunk};
use serde::{Deserialize, Serialize};

use crate::rest::OpenRecordError;

/// The format of manifests, indexes and packs that is written, and the latest that is read.
pub const FORMAT: u32 = 1;

/// The most bytes of a manifest or an index, before compression. Enough for some 100 GB of chunks that are nowhere
/// alike.
pub const DOCUMENT_LIMIT: usize = 96 << 20;

/// The most bytes of a chunk, whatever the parameters.
pub const CHUNK_LIMIT: u32 = 4 << 20;

/// A stored document makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ImageFormatError {
    /// The record around it is damaged or too new.
    #[error("failed to open the {0}")]
    Record(&'static str, #[source] OpenRecordError),
    /// It can't be unpacked.
    #[error("the {0} can't be unpacked; it is damaged, or larger than {DOCUMENT_LIMIT} bytes")]
    Compression(&'static str, #[source] std::io::Error),
    /// It is no such document.
    #[error("the {0} is damaged")]
    Body(&'static str, #[source] prost::DecodeError),
    /// Its head can't be read.
    #[error("the head of the manifest can't be read")]
    Head(#[source] serde_json::Error),
    /// It contradicts itself.
    #[error("the {what} contradicts itself: {why}")]
    Contradiction {
        /// What it is.
        what: &'static str,
        /// In which way.
        why: String,
    },
}

fn contradiction(what: &'static str, why: impl Into<String>) -> ImageFormatError {
    ImageFormatError::Contradiction { what, why: why.into() }
}

/// A chunk's name: the BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Its first half: enough to tell chunks apart in memory.
    pub fn short(&self) -> u128 {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        u128::from_le_bytes(half)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How files were cut. Recorded with each image: two images share chunks only when they agree in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunking {
    /// The algorithm and its version.
    pub algorithm: String,
    /// Bytes of the smallest chunk; the last one before a hole or the end may be smaller.
    pub min: u32,
    /// Bytes of a chunk on average.
    pub average: u32,
    /// Bytes of the largest chunk.
    pub max: u32,
    /// Bytes of the blocks, counted from the file's beginning, that are left out when they hold nothing but zeros.
    pub zero_block: u32,
}

impl Default for Chunking {
    /// What is written now. Measured on Debian guests; docs/images.md has the numbers.
    fn default() -> Self {
        Self {
            algorithm: "fastcdc-2020/5.0".into(),
            min: 32 << 10,
            average: 128 << 10,
            max: 512 << 10,
            zero_block: 64 << 10,
        }
    }
}

/// The least bytes of a pack that is full; an image's last has what is left. Nothing remains to be done while the last one is on its
/// way: packs of 32 MiB took a seventh of an upload for that.
pub const PACK_BYTES: usize = 16 << 20;

/// Compresses a document and names its format.
fn seal(body: &impl prost::Message) -> Vec<u8> {
    let packed = zstd::bulk::compress(&body.encode_to_vec(), 3)
        .expect("compression into memory fails only without memory");
    crate::rest::seal(FORMAT, packed)
}

fn open<M: prost::Message + Default>(what: &'static str, record: &[u8]) -> Result<M, ImageFormatError> {
    let (_, packed) =
        crate::rest::open(what, FORMAT, record).map_err(|e| ImageFormatError::Record(what, e))?;
    let body = zstd::bulk::decompress(&packed, DOCUMENT_LIMIT)
        .map_err(|e| ImageFormatError::Compression(what, e))?;
    M::decode(&*body).map_err(|e| ImageFormatError::Body(what, e))
}

/// 32 bytes each, from a column of them.
fn ids(column: &[u8]) -> impl ExactSizeIterator<Item = ChunkId> + '_ {
    column.chunks_exact(32).map(|id| ChunkId(id.try_into().expect("pieces have 32 bytes")))
}

fn column(ids: impl Iterator<Item = ChunkId>) -> Vec<u8> {
    ids.flat_map(|id| id.0).collect()
}
