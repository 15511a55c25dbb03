//! Missing chunks are compressed on as many threads as there are processors, and gathered into packs.

use std::io;
use std::ops::Range;

use kiln_plan::id::PackId;
use kiln_proto::Bytes;
use kiln_proto::image::{ChunkId, FinishedPack, PACK_BYTES, PackFacts, PackIndex, PackedChunk};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// As the level of zstd: packs come out a fiftieth larger than at 3, a third faster.
const LEVEL: i32 = 2;

/// A chunk to be sent, and where it lies among the bytes that were cut with it.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) id: ChunkId,
    pub(super) range: Range<usize>,
}

/// A pack as it grows.
#[derive(Debug, Default)]
pub(super) struct PackBuilder {
    frames: Vec<u8>,
    chunks: Vec<PackedChunk>,
}

/// A pack that is full: its frames, to which a name and an end are given for each try to send it.
#[derive(Clone, Debug)]
pub(super) struct FullPack {
    frames: Bytes,
    chunks: Vec<PackedChunk>,
}

/// A pack with its name, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct NamedPack {
    pub(super) bytes: Bytes,
    pub(super) pack: FinishedPack,
}

impl PackBuilder {
    /// Takes frames, and yields a pack for each time it is full.
    pub(super) fn push(&mut self, frames: Vec<(PackedChunk, Vec<u8>)>) -> Vec<FullPack> {
        let mut full = Vec::new();
        for (chunk, frame) in frames {
            self.frames.extend_from_slice(&frame);
            self.chunks.push(chunk);
            if self.frames.len() >= PACK_BYTES {
                full.extend(self.end());
            }
        }
        full
    }

    /// What has been gathered, if anything.
    pub(super) fn end(&mut self) -> Option<FullPack> {
        let chunks = std::mem::take(&mut self.chunks);
        let frames = Bytes::from(std::mem::take(&mut self.frames));
        (!chunks.is_empty()).then_some(FullPack { frames, chunks })
    }
}

impl FullPack {
    /// The pack under a new name. Each try has another, so that nothing that happens late to one concerns the next.
    pub(super) fn named(&self) -> NamedPack {
        let index = PackIndex { pack: PackId::new(Uuid::now_v7()), chunks: self.chunks.clone() };
        let mut bytes = Vec::with_capacity(self.frames.len() + self.chunks.len() * 48 + 256);
        bytes.extend_from_slice(&self.frames);
        index.finish(&mut bytes);
        let sha256 = Sha256::digest(&bytes).into();
        let facts = PackFacts { pack: index.pack, size: bytes.len() as u64, sha256 };
        NamedPack { bytes: bytes.into(), pack: FinishedPack { facts, index } }
    }
}

/// Compresses chunks of `bytes`, in order. Takes its time.
///
/// # Errors
/// When there is no memory for that.
pub(super) fn compress(bytes: &[u8], missing: &[Missing]) -> io::Result<Vec<(PackedChunk, Vec<u8>)>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let share = missing.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let part = |part| scope.spawn(move || compress_some(bytes, part));
        let parts: Vec<_> = missing.chunks(share).map(part).collect();
        let broke_off = |_| io::Error::other("the compression broke off");
        let mut all = Vec::with_capacity(missing.len());
        for part in parts {
            all.extend(part.join().map_err(broke_off)??);
        }
        Ok(all)
    })
}

fn compress_some(bytes: &[u8], missing: &[Missing]) -> io::Result<Vec<(PackedChunk, Vec<u8>)>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    // Room for any chunk, once: what is kept of it has a third of its size.
    let mut room = Vec::new();
    let one = |chunk: &Missing| {
        let content = &bytes[chunk.range.clone()];
        room.resize(room.len().max(zstd::zstd_safe::compress_bound(content.len())), 0);
        let size = compressor.compress_to_buffer(content, &mut room[..])?;
        let stored = u32::try_from(size).map_err(io::Error::other)?;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        Ok((PackedChunk { id: chunk.id, length, stored }, room[..size].to_vec()))
    };
    missing.iter().map(one).collect()
}
