//! Everything between the files and the manifest: cut, ask, compress, send, and note where each chunk lies.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use kiln_plan::id::PackId;
use kiln_proto::image::{ChunkEntry, ChunkId, Chunking, FinishedPack, ImageFile, Piece};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::buffers::Buffers;
use super::client::Client;
use super::cut::{Cut, Whole, cut};
use super::pack::{FullPack, Missing, PackBuilder, compress};
use super::transfer::Transfer;
use super::{Publication, PublishError, Sent, SourceFile, upload};

/// Pieces that are asked for and compressed together: so many, or so many bytes. And how many such batches may wait.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 16 << 20;
const WAITING_BATCHES: usize = 2;

/// Packs that are sent side by side.
const SIDE_BY_SIDE: usize = 4;

/// What a manifest is made of.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) files: Vec<ImageFile>,
    pub(super) pieces: Vec<Vec<Piece>>,
    pub(super) chunks: Vec<ChunkEntry>,
    pub(super) packs: Vec<PackId>,
    pub(super) sent: Sent,
}

/// What the cutting thread says.
enum Word {
    Cuts(Batch),
    /// The file ended.
    Whole(Whole),
}

/// Pieces in a row.
#[derive(Default)]
struct Batch {
    parts: Vec<Part>,
    /// The chunks, one after the other.
    bytes: Arc<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Part {
    Hole(u64),
    Chunk { id: ChunkId, length: u32 },
}

/// Sends what is missing of the files, and notes where everything lies.
pub(super) async fn gather(
    client: &Client,
    transfer: &Transfer,
    publication: &Publication,
    cancel: &CancellationToken,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Gathered, PublishError> {
    let mut gathering = Gathering {
        client,
        transfer,
        cancel,
        chunks: Vec::new(),
        numbers: HashMap::new(),
        builder: PackBuilder::default(),
        sending: JoinSet::new(),
        room: Arc::new(Semaphore::new(SIDE_BY_SIDE)),
        done: Vec::new(),
        sent: Sent::default(),
    };
    let (mut files, mut pieces) = (Vec::new(), Vec::new());
    for source in &publication.files {
        let (whole, of_file) = gathering.file(source, progress).await?;
        let Whole { size, blake3, sha256 } = whole;
        files.push(ImageFile { path: source.name.clone(), size, blake3, sha256 });
        pieces.push(of_file);
    }
    gathering.end(files, pieces).await
}

/// A chunk that was met, and where it lies once that is known.
struct Met {
    id: ChunkId,
    length: u32,
    place: Option<(PackId, u32, u32)>,
}

struct Gathering<'a> {
    client: &'a Client,
    transfer: &'a Transfer,
    cancel: &'a CancellationToken,
    chunks: Vec<Met>,
    numbers: HashMap<ChunkId, u32>,
    builder: PackBuilder,
    sending: JoinSet<Result<FinishedPack, PublishError>>,
    room: Arc<Semaphore>,
    done: Vec<FinishedPack>,
    sent: Sent,
}

impl Gathering<'_> {
    async fn file(
        &mut self,
        source: &SourceFile,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Whole, Vec<Piece>), PublishError> {
        let unreadable = |error| PublishError::Read { path: source.path.clone(), source: error };
        let file = File::open(&source.path).map_err(unreadable)?;
        let (say, mut words) = mpsc::channel(WAITING_BATCHES);
        let cancel = self.cancel.clone();
        let cutting = tokio::task::spawn_blocking(move || cut_all(&file, &cancel, &say));
        let mut pieces = Vec::new();
        let mut whole = None;
        while let Some(word) = words.recv().await {
            match word {
                Word::Cuts(batch) => {
                    let before = self.sent.size;
                    self.batch(batch, &mut pieces).await?;
                    debug_assert!(self.sent.size >= before, "sizes only grow");
                    progress(self.sent.size);
                }
                Word::Whole(ended) => whole = Some(ended),
            }
        }
        let cut = cutting.await.map_err(|_| PublishError::BrokeOff)?;
        if self.cancel.is_cancelled() {
            return Err(PublishError::Cancelled);
        }
        cut.map_err(unreadable)?;
        Ok((whole.ok_or(PublishError::BrokeOff)?, pieces))
    }

    /// Takes pieces: asks for those that were not met before, and compresses what is missing.
    async fn batch(&mut self, batch: Batch, pieces: &mut Vec<Piece>) -> Result<(), PublishError> {
        let first_new = self.chunks.len();
        let mut new = Vec::new();
        let mut at = 0;
        for part in batch.parts {
            match part {
                Part::Hole(bytes) => {
                    self.sent.size += bytes;
                    pieces.push(Piece::Hole(bytes));
                }
                Part::Chunk { id, length } => {
                    self.sent.size += u64::from(length);
                    let range = at..at + length as usize;
                    at = range.end;
                    let next = u32::try_from(self.chunks.len()).map_err(|_| PublishError::BrokeOff)?;
                    let number = *self.numbers.entry(id).or_insert(next);
                    if number == next {
                        self.chunks.push(Met { id, length, place: None });
                        new.push(Missing { id, range });
                    }
                    pieces.push(Piece::Chunk(number));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<ChunkId> = new.iter().map(|chunk| chunk.id).collect();
        for found in self.client.find(&ids).await? {
            self.chunks[first_new + found.position].place = Some((found.pack, found.offset, found.stored));
        }
        let mut place = first_new..;
        new.retain(|_| place.next().is_some_and(|number| self.chunks[number].place.is_none()));
        self.sent.new += new.iter().map(|chunk| chunk.range.len() as u64).sum::<u64>();
        let compressed = tokio::task::spawn_blocking(move || compress(&batch.bytes, &new)).await;
        let frames = compressed.map_err(|_| PublishError::BrokeOff)?.map_err(PublishError::Compress)?;
        for full in self.builder.push(frames) {
            self.send(full).await?;
        }
        Ok(())
    }

    /// Begins to send a pack once there is room, and takes note of those that have been sent.
    async fn send(&mut self, full: FullPack) -> Result<(), PublishError> {
        while let Some(sent) = self.sending.try_join_next() {
            self.done.push(sent.map_err(|_| PublishError::BrokeOff)??);
        }
        let permit = tokio::select! {
            permit = Arc::clone(&self.room).acquire_owned() => permit.map_err(|_| PublishError::BrokeOff)?,
            () = self.cancel.cancelled() => return Err(PublishError::Cancelled),
        };
        let (client, transfer, cancel) = (self.client.clone(), self.transfer.clone(), self.cancel.clone());
        self.sending.spawn(async move {
            let _permit = permit;
            upload::send(&client, &transfer, full, &cancel).await
        });
        Ok(())
    }

    /// Sends the rest, and puts everything together.
    async fn end(mut self, files: Vec<ImageFile>, pieces: Vec<Vec<Piece>>) -> Result<Gathered, PublishError> {
        if let Some(last) = self.builder.end() {
            self.send(last).await?;
        }
        while let Some(sent) = self.sending.join_next().await {
            self.done.push(sent.map_err(|_| PublishError::BrokeOff)??);
        }
        for pack in &self.done {
            self.sent.sent += pack.facts.size;
            self.sent.packs += 1;
            for (offset, chunk) in pack.index.places() {
                if let Some(number) = self.numbers.get(&chunk.id) {
                    self.chunks[*number as usize].place = Some((pack.facts.pack, offset, chunk.stored));
                }
            }
        }
        let mut numbers: HashMap<PackId, u32> = HashMap::new();
        let mut packs = Vec::new();
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for met in &self.chunks {
            let (pack, offset, stored) = met.place.ok_or(PublishError::BrokeOff)?;
            let number = *numbers.entry(pack).or_insert_with(|| {
                packs.push(pack);
                u32::try_from(packs.len() - 1).unwrap_or(u32::MAX)
            });
            chunks.push(ChunkEntry { id: met.id, length: met.length, pack: number, offset, stored });
        }
        Ok(Gathered { files, pieces, chunks, packs, sent: self.sent })
    }
}

/// Cuts a file and says so in batches. On a thread of its own.
fn cut_all(file: &File, cancel: &CancellationToken, say: &mpsc::Sender<Word>) -> io::Result<()> {
    let gone = |_| io::Error::new(io::ErrorKind::Interrupted, "nobody listens any more");
    let mut buffers = Buffers::default();
    let (mut parts, mut bytes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH_BYTES));
    let mut emit = |cut: Cut<'_>| {
        parts.push(match cut {
            Cut::Hole(zeros) => Part::Hole(zeros),
            Cut::Chunk { id, bytes: chunk } => {
                bytes.extend_from_slice(chunk);
                Part::Chunk { id, length: u32::try_from(chunk.len()).map_err(io::Error::other)? }
            }
        });
        if parts.len() < BATCH && bytes.len() < BATCH_BYTES {
            return Ok(());
        }
        let parts = std::mem::replace(&mut parts, Vec::with_capacity(BATCH));
        let mut next = buffers.take();
        next.clear();
        let bytes = buffers.lend(std::mem::replace(&mut bytes, next));
        say.blocking_send(Word::Cuts(Batch { parts, bytes })).map_err(gone)
    };
    let whole = cut(file, &Chunking::default(), cancel, &mut emit)?;
    say.blocking_send(Word::Cuts(Batch { parts, bytes: Arc::new(bytes) })).map_err(gone)?;
    say.blocking_send(Word::Whole(whole)).map_err(gone)
}
