//! A file as pieces: chunks that were cut by content, and holes.
//!
//! ```text
//!   file ─► blocks of 64 KiB ─► all zeros? ─► hole            ┐
//!                  │               no ─► FastCDC ─► BLAKE3     ├─► Cut, in order
//!                  └─► another thread: digests of the whole    ┘
//! ```
//!
//! Where it is cut depends on the content alone, never on where the file system has holes: those only spare the reading.
//! After a hole the cutting starts afresh, so what stands before it doesn't matter.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use fastcdc::v2020;
use kiln_proto::image::{ChunkId, Chunking};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::buffers::Buffers;

/// Bytes that are read at a time: a multiple of every block.
const READ: usize = 1 << 20;

/// Reads that may wait for the digests.
const WAITING_READS: usize = 4;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// So many zeros.
    Hole(u64),
    /// A chunk.
    Chunk {
        /// Its name.
        id: ChunkId,
        /// What is in it: 4 MiB at most.
        bytes: &'a [u8],
    },
}

/// Takes the pieces of a file, one after the other.
pub type Emit<'a> = dyn FnMut(Cut<'_>) -> io::Result<()> + 'a;

/// What a whole file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    /// In hex.
    pub blake3: String,
    /// In hex.
    pub sha256: String,
}

/// Cuts a file and hands each piece on, in order. Takes its time: for a thread of its own.
///
/// # Errors
/// When the file can't be read, changes its length meanwhile, `emit` says so, or it is cancelled.
pub fn cut(
    file: &File,
    chunking: &Chunking,
    cancel: &CancellationToken,
    emit: &mut Emit<'_>,
) -> io::Result<Whole> {
    let size = file.metadata()?.len();
    let (send, pieces) = sync_channel(WAITING_READS);
    std::thread::scope(|scope| {
        let digests = scope.spawn(move || digests(&pieces));
        let read = read(file, size, cancel, chunking, &mut Sinks { digests: send, emit });
        let (blake3, sha256) = digests.join().map_err(|_| io::Error::other("the digests broke off"))?;
        read.map(|()| Whole { size, blake3, sha256 })
    })
}

/// What the digests are fed with.
enum Part {
    Bytes(Arc<Vec<u8>>),
    Zeros(u64),
}

fn digests(parts: &Receiver<Part>) -> (String, String) {
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
    let zeros = vec![0; READ];
    let mut both = |bytes: &[u8]| {
        blake3.update(bytes);
        sha256.update(bytes);
    };
    for part in parts {
        match part {
            Part::Bytes(bytes) => both(&bytes),
            Part::Zeros(mut left) => {
                while left > 0 {
                    let some = usize::try_from(left).unwrap_or(READ).min(READ);
                    both(&zeros[..some]);
                    left -= some as u64;
                }
            }
        }
    }
    (blake3.finalize().to_hex().to_string(), hex::encode(sha256.finalize()))
}

struct Sinks<'a> {
    digests: SyncSender<Part>,
    emit: &'a mut Emit<'a>,
}

impl Sinks<'_> {
    fn digest(&self, part: Part) -> io::Result<()> {
        self.digests.send(part).map_err(|_| io::Error::other("the digests broke off"))
    }
}

fn read(
    file: &File,
    size: u64,
    cancel: &CancellationToken,
    chunking: &Chunking,
    sinks: &mut Sinks<'_>,
) -> io::Result<()> {
    let block = chunking.zero_block as usize;
    let mut cutter = Cutter::new(chunking);
    let mut buffers = Buffers::default();
    let mut at = 0;
    // No hole before this offset: whether there is one behind is asked once it is reached.
    let mut dense_until = 0;
    while at < size {
        if cancel.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
        if at >= dense_until {
            let (data, end) = next_data(file, at, size);
            let skipped = (data - at) / block as u64 * block as u64;
            // A hole that reaches to the end takes the last, shorter block with it.
            let skipped = if data >= size { size - at } else { skipped };
            if skipped > 0 {
                cutter.hole(skipped, sinks.emit)?;
                sinks.digest(Part::Zeros(skipped))?;
                at += skipped;
            }
            dense_until = end;
            continue;
        }
        let mut bytes = buffers.take();
        bytes.resize(usize::try_from(size - at).unwrap_or(READ).min(READ), 0);
        file.read_exact_at(&mut bytes, at)?;
        let bytes = buffers.lend(bytes);
        sinks.digest(Part::Bytes(Arc::clone(&bytes)))?;
        for block in bytes.chunks(block) {
            if block.iter().all(|byte| *byte == 0) {
                cutter.hole(block.len() as u64, sinks.emit)?;
            } else {
                cutter.data(block, sinks.emit)?;
            }
        }
        at += bytes.len() as u64;
    }
    cutter.end(sinks.emit)
}

/// Where the next data begins and ends. Where the file system can't tell, all of it is data.
fn next_data(file: &File, at: u64, size: u64) -> (u64, u64) {
    #[cfg(target_os = "linux")]
    {
        use nix::errno::Errno;
        use nix::unistd::{Whence, lseek};

        let Ok(offset) = i64::try_from(at) else { return (at, size) };
        let data = match lseek(file, offset, Whence::SeekData) {
            Ok(data) => data,
            // No data behind it: a hole to the end.
            Err(Errno::ENXIO) => return (size, size),
            Err(_) => return (at, size),
        };
        let hole = lseek(file, data, Whence::SeekHole).ok();
        let known = |offset: i64| u64::try_from(offset).unwrap_or(size).min(size);
        (known(data), hole.map_or(size, known))
    }
    #[cfg(not(target_os = "linux"))]
    (at, size)
}

/// Cuts what comes without a hole between.
struct Cutter {
    sizes: (usize, usize, usize),
    masks: (u64, u64),
    /// What has come and isn't cut yet, from `begin` on.
    pending: Vec<u8>,
    begin: usize,
    /// Zeros that have come since.
    hole: u64,
}

impl Cutter {
    fn new(chunking: &Chunking) -> Self {
        let sizes = (chunking.min as usize, chunking.average as usize, chunking.max as usize);
        let masks = v2020::select_masks(sizes.1, v2020::Normalization::Level1);
        Self { sizes, masks, pending: Vec::new(), begin: 0, hole: 0 }
    }

    fn data(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> io::Result<()> {
        self.end_hole(emit)?;
        self.pending.extend_from_slice(bytes);
        // Beyond the largest chunk, what follows can't change where it is cut.
        while self.pending.len() - self.begin >= self.sizes.2 {
            self.one(emit)?;
        }
        Ok(())
    }

    fn hole(&mut self, bytes: u64, emit: &mut Emit<'_>) -> io::Result<()> {
        while self.begin < self.pending.len() {
            self.one(emit)?;
        }
        self.hole += bytes;
        Ok(())
    }

    fn end_hole(&mut self, emit: &mut Emit<'_>) -> io::Result<()> {
        match std::mem::take(&mut self.hole) {
            0 => Ok(()),
            bytes => emit(Cut::Hole(bytes)),
        }
    }

    fn end(&mut self, emit: &mut Emit<'_>) -> io::Result<()> {
        self.hole(0, emit)?;
        self.end_hole(emit)
    }

    /// Cuts one chunk off.
    fn one(&mut self, emit: &mut Emit<'_>) -> io::Result<()> {
        let ((min, average, max), (small, large)) = (self.sizes, self.masks);
        let source = &self.pending[self.begin..];
        let (_, length) = v2020::cut(source, min, average, max, small, large, small << 1, large << 1);
        let bytes = &source[..length];
        emit(Cut::Chunk { id: ChunkId::of(bytes), bytes })?;
        self.begin += length;
        if self.begin >= 8 * max {
            self.pending.drain(..self.begin);
            self.begin = 0;
        } else if self.begin == self.pending.len() {
            self.pending.clear();
            self.begin = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A piece that lives on: zeros, or a chunk's bytes.
    #[derive(Debug, PartialEq, Eq)]
    enum Part {
        Zeros(u64),
        Bytes(ChunkId, Vec<u8>),
    }

    fn pieces(file: &File) -> (Vec<Part>, Whole) {
        let mut cuts = Vec::new();
        let mut emit = |cut: Cut<'_>| {
            cuts.push(match cut {
                Cut::Hole(zeros) => Part::Zeros(zeros),
                Cut::Chunk { id, bytes } => Part::Bytes(id, bytes.to_vec()),
            });
            Ok(())
        };
        let whole = cut(file, &Chunking::default(), &CancellationToken::new(), &mut emit).unwrap();
        (cuts, whole)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Bytes without pattern, always the same.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn pieces_cover_the_file_in_order() {
        for bytes in [
            vec![],
            vec![0; 5],
            vec![7; 5],
            noise(3_000_000, 1),
            [noise(100_000, 1), vec![0; 900_000]].concat(),
        ] {
            let (cuts, whole) = pieces(&file(&bytes));
            assert_eq!(whole.size, bytes.len() as u64);
            assert_eq!(whole.blake3, blake3::hash(&bytes).to_hex().to_string());
            assert_eq!(whole.sha256, hex::encode(Sha256::digest(&bytes)));
            assert!(put_together(cuts) == bytes);
        }
    }

    /// The bytes that pieces were cut from; each chunk has its name.
    fn put_together(cuts: Vec<Part>) -> Vec<u8> {
        let mut all = Vec::new();
        for cut in cuts {
            match cut {
                Part::Zeros(zeros) => all.resize(all.len() + usize::try_from(zeros).unwrap(), 0),
                Part::Bytes(id, bytes) => {
                    assert_eq!(ChunkId::of(&bytes), id);
                    all.extend(bytes);
                }
            }
        }
        all
    }

    #[test]
    fn holes_of_the_file_system_change_nothing() {
        let (a, b) = (noise(200_000, 2), noise(300_000, 3));
        let dense = file(&[&a[..], &vec![0; 3 << 20], &b[..], &vec![0; 123_456]].concat());
        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(&a, 0).unwrap();
        sparse.write_all_at(&b, 200_000 + (3 << 20)).unwrap();
        sparse.set_len(dense.metadata().unwrap().len()).unwrap();
        assert_eq!(pieces(&dense), pieces(&sparse));
        assert!(pieces(&sparse).0.iter().any(|cut| matches!(cut, Part::Zeros(zeros) if *zeros > 2 << 20)));
    }

    #[test]
    fn what_is_inserted_changes_few_chunks() {
        let old = noise(8 << 20, 4);
        let mut new = old.clone();
        new.splice(1_000_000..1_000_000, noise(777, 5));
        let ids = |bytes: &[u8]| -> std::collections::BTreeSet<ChunkId> {
            let id = |cut| match cut {
                Part::Bytes(id, _) => Some(id),
                Part::Zeros(_) => None,
            };
            pieces(&file(bytes)).0.into_iter().filter_map(id).collect()
        };
        let (old, new) = (ids(&old), ids(&new));
        let changed = new.difference(&old).count();
        assert!(new.len() > 30 && changed <= 4, "{changed} of {} chunks are new", new.len());
    }

    /// Where chunks are cut is part of the format: a change makes every stored chunk useless for new images.
    #[test]
    fn this_is_where_it_is_cut() {
        let (cuts, _) = pieces(&file(&noise(1 << 20, 6)));
        let length = |cut: &Part| match cut {
            Part::Bytes(_, bytes) => bytes.len(),
            Part::Zeros(_) => 0,
        };
        let lengths: Vec<usize> = cuts.iter().map(length).collect();
        assert_eq!(lengths, EXPECTED);
    }

    const EXPECTED: [usize; 7] = [97_752, 163_492, 93_389, 175_649, 285_539, 144_664, 88_091];

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            cases: 40,
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_survive(parts in proptest::collection::vec((0_u8..3, 0_usize..400_000), 0..8)) {
            let part = |(kind, length): &(u8, usize)| match kind {
                0 => vec![0; *length],
                1 => vec![0x55; *length],
                _ => noise(*length, *length as u64),
            };
            let bytes: Vec<u8> = parts.iter().flat_map(part).collect();
            assert!(put_together(pieces(&file(&bytes)).0) == bytes);
        }
    }
}
