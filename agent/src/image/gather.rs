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

use super::client::Client;
use super::cut::{Cut, Whole, cut};
use super::pack::{FullPack, Missing, PackBuilder, compress};
use super::transfer::Transfer;
use super::{Publication, PublishError, Sent, SourceFile, upload};

/// Pieces that are asked for and compressed together, and how many such batches may wait.
const BATCH: usize = 128;
const WAITING_BATCHES: usize = 4;

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
    Cuts(Vec<Cut>),
    /// The file ended.
    Whole(Whole),
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
        let file = Arc::new(File::open(&source.path).map_err(unreadable)?);
        let (say, mut words) = mpsc::channel(WAITING_BATCHES);
        let (cut_file, cancel) = (Arc::clone(&file), self.cancel.clone());
        let cutting = tokio::task::spawn_blocking(move || cut_all(&cut_file, &cancel, &say));
        let mut pieces = Vec::new();
        let mut whole = None;
        while let Some(word) = words.recv().await {
            match word {
                Word::Cuts(cuts) => {
                    let before = self.sent.size;
                    self.batch(&file, &cuts, &mut pieces).await.map_err(|error| match error {
                        Stumble::Read(error) => unreadable(error),
                        Stumble::Publish(error) => error,
                    })?;
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
    async fn batch(
        &mut self,
        file: &Arc<File>,
        cuts: &[Cut],
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stumble> {
        let first_new = self.chunks.len();
        let mut new = Vec::new();
        for cut in cuts {
            match *cut {
                Cut::Hole(bytes) => {
                    self.sent.size += bytes;
                    pieces.push(Piece::Hole(bytes));
                }
                Cut::Chunk { id, offset, length } => {
                    self.sent.size += u64::from(length);
                    let next = u32::try_from(self.chunks.len()).map_err(io::Error::other)?;
                    let number = *self.numbers.entry(id).or_insert(next);
                    if number == next {
                        self.chunks.push(Met { id, length, place: None });
                        new.push(Missing { id, file: Arc::clone(file), offset, length });
                    }
                    pieces.push(Piece::Chunk(number));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<ChunkId> = new.iter().map(|chunk| chunk.id).collect();
        for found in self.client.find(&ids).await.map_err(PublishError::from)? {
            self.chunks[first_new + found.position].place = Some((found.pack, found.offset, found.stored));
        }
        let mut place = first_new..;
        new.retain(|_| place.next().is_some_and(|number| self.chunks[number].place.is_none()));
        self.sent.new += new.iter().map(|chunk| u64::from(chunk.length)).sum::<u64>();
        let compressed = tokio::task::spawn_blocking(move || compress(&new)).await;
        let frames = compressed.map_err(|_| PublishError::BrokeOff)??;
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

/// What a batch may stumble over.
enum Stumble {
    Read(io::Error),
    Publish(PublishError),
}

impl From<io::Error> for Stumble {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<PublishError> for Stumble {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

/// Cuts a file and says so in batches. On a thread of its own.
fn cut_all(file: &File, cancel: &CancellationToken, say: &mpsc::Sender<Word>) -> io::Result<()> {
    let gone = |_| io::Error::new(io::ErrorKind::Interrupted, "nobody listens any more");
    let mut batch = Vec::with_capacity(BATCH);
    let mut emit = |cut| {
        batch.push(cut);
        if batch.len() < BATCH {
            return Ok(());
        }
        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        say.blocking_send(Word::Cuts(full)).map_err(gone)
    };
    let whole = cut(file, &Chunking::default(), cancel, &mut emit)?;
    say.blocking_send(Word::Cuts(batch)).map_err(gone)?;
    say.blocking_send(Word::Whole(whole)).map_err(gone)
}
