//! An image out of the object store, onto a disk.
//!
//! ```text
//!   show ─► manifest (its digest is the ledger's) ─► what lies there already? (an earlier pull that broke off)
//!                                                        │ chunks that are not
//!        visible under its name ◄─ whole file checked ◄─ spans of packs, a few side by side, each chunk checked
//! ```
//!
//! A file grows beside its place, as `NAME.kiln-part`, with holes where the image has them. What is pulled is the image,
//! or nothing is there under its name.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::PackId;
use kiln_proto::image::{
    ChunkEntry, ChunkId, Grant, ImageFile, ImageFormatError, ImageManifest, ImageRecord, Piece,
};
use kiln_proto::token::Bearer;
use kiln_proto::v1::images_client::ImagesClient;
use kiln_proto::{Bytes, ConvertError, MESSAGE_LIMIT, Problem, v1};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::transfer::{Transfer, TransferError};

/// Spans that are brought side by side.
const SIDE_BY_SIDE: usize = 4;

/// The most bytes of a span, and how many unwanted bytes between two chunks are brought along rather than skipped.
const SPAN: u64 = 8 << 20;
const GAP: u64 = 64 << 10;

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The coordinator says no.
    #[error(transparent)]
    Coordinator(#[from] Problem),
    /// What it says makes no sense.
    #[error("the coordinator's answer can't be read")]
    Answer(#[from] ConvertError),
    /// The manifest makes no sense.
    #[error("the image's manifest can't be read")]
    Manifest(#[from] ImageFormatError),
    /// The manifest is not the one that was published.
    #[error("the manifest is not the one that was published: it has {found}, the farm says {expected}")]
    Digest {
        /// Of what came.
        found: String,
        /// In the ledger.
        expected: String,
    },
    /// A file is in the way.
    #[error("{} is there already and differs from the image; move it away, or pull into another directory", .0.display())]
    InTheWay(PathBuf),
    /// The disk says no.
    #[error("failed to {operation} {}", path.display())]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part of a pack does not come.
    #[error("pack {pack} could not be read in {tries} tries")]
    Transfer {
        /// Which.
        pack: PackId,
        /// How often it was tried.
        tries: u32,
        /// What happened the last time.
        #[source]
        source: TransferError,
    },
    /// What came is not what was sent.
    #[error("pack {pack} is damaged: chunk {chunk} has other bytes than its name says")]
    Damaged {
        /// The pack.
        pack: PackId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// All chunks are right and the file is not.
    #[error("{} does not have the content that the manifest promises", .0.display())]
    Whole(PathBuf),
    /// It was cancelled.
    #[error("cancelled; another pull goes on from here")]
    Cancelled,
    /// A thread broke off.
    #[error("an internal error broke the pull off; please report it")]
    BrokeOff,
}

/// The service of images, as people reach it: each request shows who asks.
pub type PeoplesImages = ImagesClient<InterceptedService<Channel, Bearer>>;

/// What was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The image.
    pub image: ImageRecord,
    /// All that is known about it.
    pub manifest: Arc<ImageManifest>,
    /// Its files, in the order of the manifest; empty when it was only checked.
    pub files: Vec<PathBuf>,
    /// Bytes that came from the store.
    pub received: u64,
}

/// Pulls an image (`NAME`, `NAME:VERSION` or an identifier) into a directory. Without a directory everything is read
/// and checked, and nothing kept. `progress` is told bytes that are there and bytes in all.
///
/// # Errors
/// When it could not be pulled. What has come stays for the next pull.
pub async fn pull(
    images: PeoplesImages,
    transfer: &Transfer,
    (image, directory): (&str, Option<&Path>),
    progress: &(dyn Fn(u64, u64) + Sync),
    cancel: &CancellationToken,
) -> Result<Pulled, PullError> {
    let mut service = images.max_decoding_message_size(MESSAGE_LIMIT);
    let request = v1::ShowImageRequest { image: image.to_owned() };
    let shown = service.show_image(request).await.map_err(Problem::from)?.into_inner();
    let absent = ConvertError::Missing { message: "an image", field: "record" };
    let image: ImageRecord = shown.image.ok_or(absent)?.try_into()?;
    let found = Fingerprint::of_bytes(&shown.manifest).to_string();
    if found != image.digest {
        return Err(PullError::Digest { found, expected: image.digest });
    }
    let manifest = Arc::new(ImageManifest::decode(&shown.manifest)?);
    let cancel = cancel.child_token();
    let _end = cancel.clone().drop_guard();
    let directory = directory.map(Path::to_owned);
    let (plan, prepare) = (Arc::clone(&manifest), cancel.clone());
    let targets = blocking(move || Targets::prepare(&plan, directory.as_deref(), &prepare)).await?;
    let reading = Reading {
        service,
        transfer,
        image: image.image.to_string(),
        manifest: &manifest,
        targets: Arc::new(targets),
        links: Mutex::default(),
        cancel: &cancel,
    };
    let received = reading.everything(progress).await?;
    let (targets, plan) = (Arc::clone(&reading.targets), Arc::clone(&manifest));
    let files = blocking(move || targets.finish(&plan, &cancel)).await?;
    Ok(Pulled { image, manifest, files, received })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PullError::BrokeOff)?
}

fn disk(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PullError {
    let path = path.to_owned();
    move |source| PullError::Disk { operation, path, source }
}

/// A file as it grows.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    part: PathBuf,
    /// `None` when the file is there already.
    file: Option<File>,
}

/// Where chunks go.
#[derive(Debug)]
struct Targets {
    files: Vec<Target>,
    /// For each chunk the files and offsets that want it. Empty when it is there, or nothing is kept.
    wanted: Vec<Vec<(u32, u64)>>,
    /// Whether a chunk must be brought.
    missing: Vec<bool>,
}

impl Targets {
    /// Makes the files, or finds what an earlier pull left of them.
    fn prepare(
        manifest: &ImageManifest,
        directory: Option<&Path>,
        cancel: &CancellationToken,
    ) -> Result<Self, PullError> {
        let count = manifest.chunks.len();
        let Some(directory) = directory else {
            return Ok(Self {
                files: Vec::new(),
                wanted: vec![Vec::new(); count],
                missing: vec![true; count],
            });
        };
        let mut targets =
            Self { files: Vec::new(), wanted: vec![Vec::new(); count], missing: vec![false; count] };
        for (number, (file, pieces)) in (0..).zip(manifest.head.files.iter().zip(&manifest.pieces)) {
            let target = Target::open(directory, file, cancel)?;
            if let Some(open) = &target.file {
                let mut offset = 0;
                for piece in pieces {
                    match *piece {
                        Piece::Hole(bytes) => offset += bytes,
                        Piece::Chunk(chunk) => {
                            if cancel.is_cancelled() {
                                return Err(PullError::Cancelled);
                            }
                            let entry = &manifest.chunks[chunk as usize];
                            if !target.has(open, entry, offset) {
                                targets.wanted[chunk as usize].push((number, offset));
                                targets.missing[chunk as usize] = true;
                            }
                            offset += u64::from(entry.length);
                        }
                    }
                }
            }
            targets.files.push(target);
        }
        Ok(targets)
    }

    /// Writes a chunk wherever it is wanted.
    fn write(&self, chunk: u32, bytes: &[u8]) -> Result<(), PullError> {
        for (file, offset) in &self.wanted[chunk as usize] {
            let target = &self.files[*file as usize];
            if let Some(open) = &target.file {
                open.write_all_at(bytes, *offset).map_err(disk("write", &target.part))?;
            }
        }
        Ok(())
    }

    /// Checks each file as a whole and gives it its name.
    fn finish(
        &self,
        manifest: &ImageManifest,
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, PullError> {
        for (target, file) in self.files.iter().zip(&manifest.head.files) {
            let Some(open) = &target.file else { continue };
            if digest(&target.part, cancel)? != file.blake3 {
                // Nothing of it can be trusted for another pull.
                std::fs::remove_file(&target.part).map_err(disk("remove", &target.part))?;
                return Err(PullError::Whole(target.path.clone()));
            }
            open.sync_all().map_err(disk("write", &target.part))?;
            std::fs::rename(&target.part, &target.path).map_err(disk("name", &target.path))?;
        }
        Ok(self.files.iter().map(|target| target.path.clone()).collect())
    }
}

impl Target {
    fn open(directory: &Path, file: &ImageFile, cancel: &CancellationToken) -> Result<Self, PullError> {
        // The manifest was checked: its paths stay below the directory.
        let path = directory.join(&file.path);
        let mut part = path.clone().into_os_string();
        part.push(".kiln-part");
        let part = PathBuf::from(part);
        if path.exists() {
            if path.metadata().map(|facts| facts.len()).ok() == Some(file.size)
                && digest(&path, cancel)? == file.blake3
            {
                return Ok(Self { path, part, file: None });
            }
            return Err(PullError::InTheWay(path));
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(disk("make the directory", parent))?;
        }
        let mut options = OpenOptions::new();
        let open = options.read(true).write(true).create(true).truncate(false).open(&part);
        let open = open.map_err(disk("write", &part))?;
        open.set_len(file.size).map_err(disk("write", &part))?;
        Ok(Self { path, part, file: Some(open) })
    }

    /// Whether the chunk lies there already.
    fn has(&self, open: &File, chunk: &ChunkEntry, offset: u64) -> bool {
        use std::os::unix::fs::MetadataExt;
        // A file that was just made has no blocks, and needn't be read.
        if open.metadata().is_ok_and(|facts| facts.blocks() == 0) {
            return false;
        }
        let mut bytes = vec![0; chunk.length as usize];
        open.read_exact_at(&mut bytes, offset).is_ok() && ChunkId::of(&bytes) == chunk.id
    }
}

/// The BLAKE3 of a file, in hex.
fn digest(path: &Path, cancel: &CancellationToken) -> Result<String, PullError> {
    use std::io::Read;

    let mut file = File::open(path).map_err(disk("read", path))?;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = vec![0; 1 << 20];
    loop {
        if cancel.is_cancelled() {
            return Err(PullError::Cancelled);
        }
        match file.read(&mut bytes).map_err(disk("read", path))? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => hasher.update(&bytes[..read]),
        };
    }
}

/// Neighbouring chunks of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    pack: PackId,
    begin: u64,
    end: u64,
    chunks: Vec<u32>,
}

/// The spans that hold all chunks that are missing.
fn spans(manifest: &ImageManifest, missing: &[bool]) -> Vec<Span> {
    let mut by_pack: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (number, chunk) in (0..).zip(&manifest.chunks).filter(|(number, _)| missing[*number as usize]) {
        by_pack.entry(chunk.pack).or_default().push(number);
    }
    let mut spans = Vec::new();
    for (pack, mut chunks) in by_pack {
        chunks.sort_by_key(|number| manifest.chunks[*number as usize].offset);
        let pack = manifest.head.packs[pack as usize];
        let mut current: Option<Span> = None;
        for number in chunks {
            let chunk = &manifest.chunks[number as usize];
            let begin = u64::from(chunk.offset);
            let end = begin + u64::from(chunk.stored);
            match &mut current {
                Some(span) if begin <= span.end + GAP && end - span.begin <= SPAN => {
                    span.end = span.end.max(end);
                    span.chunks.push(number);
                }
                _ => spans.extend(current.replace(Span { pack, begin, end, chunks: vec![number] })),
            }
        }
        spans.extend(current);
    }
    spans
}

struct Reading<'a> {
    service: PeoplesImages,
    transfer: &'a Transfer,
    image: String,
    manifest: &'a Arc<ImageManifest>,
    targets: Arc<Targets>,
    links: Mutex<HashMap<PackId, (Grant, Instant)>>,
    cancel: &'a CancellationToken,
}

impl Reading<'_> {
    /// Brings what is missing; returns how many bytes came.
    async fn everything(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<u64, PullError> {
        let spans = spans(self.manifest, &self.targets.missing);
        let total: u64 = spans.iter().map(|span| span.end - span.begin).sum();
        let all = spans.into_iter().map(|span| self.span(span));
        let mut all = futures::stream::iter(all).buffer_unordered(SIDE_BY_SIDE);
        let mut received = 0;
        loop {
            let next = tokio::select! {
                next = all.try_next() => next?,
                () = self.cancel.cancelled() => return Err(PullError::Cancelled),
            };
            let Some(bytes) = next else { return Ok(received) };
            received += bytes;
            progress(received, total);
        }
    }

    async fn span(&self, span: Span) -> Result<u64, PullError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let grant = self.link(span.pack).await?;
            let came = self.transfer.get(&grant, span.begin..span.end).await;
            let failed = match came {
                Ok(bytes) => {
                    let (span, manifest) = (span.clone(), Arc::clone(self.manifest));
                    let (targets, length) = (Arc::clone(&self.targets), bytes.len() as u64);
                    let unpacked = blocking(move || unpack(&span, &bytes, &manifest, &targets)).await;
                    match unpacked {
                        Ok(()) => return Ok(length),
                        // It may have been damaged on its way.
                        Err(PullError::Damaged { .. }) if tries < 2 => None,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => Some(error),
            };
            // The link may have expired.
            self.links.lock().unwrap_or_else(PoisonError::into_inner).remove(&span.pack);
            if let Some(source) = failed {
                if tries >= self.transfer.patience.tries {
                    return Err(PullError::Transfer { pack: span.pack, tries, source });
                }
                let error = kiln_plan::fault::chain(&source);
                tracing::warn!(tries, error, "a part of a pack did not come; trying again");
                tokio::time::sleep(self.transfer.patience.pause_after(tries)).await;
            }
        }
    }

    async fn link(&self, pack: PackId) -> Result<Grant, PullError> {
        let kept = self.links.lock().unwrap_or_else(PoisonError::into_inner).get(&pack).cloned();
        if let Some((grant, until)) = kept
            && until > Instant::now()
        {
            return Ok(grant);
        }
        let request = v1::GrantPullRequest { image: self.image.clone(), packs: vec![pack.to_string()] };
        let reply = self.service.clone().grant_pull(request).await.map_err(Problem::from)?.into_inner();
        let absent = ConvertError::Missing { message: "a grant", field: "link" };
        let grant = Grant::try_from(reply.grants.into_iter().next().ok_or(absent)?)?;
        // Half of its life is left for the transfer itself.
        let until = Instant::now() + std::time::Duration::from_millis(u64::from(reply.expires_in_ms) / 2);
        self.links.lock().unwrap_or_else(PoisonError::into_inner).insert(pack, (grant.clone(), until));
        Ok(grant)
    }
}

/// Unpacks, checks and writes the chunks of a span.
fn unpack(span: &Span, bytes: &Bytes, manifest: &ImageManifest, targets: &Targets) -> Result<(), PullError> {
    for number in &span.chunks {
        let chunk = &manifest.chunks[*number as usize];
        let damaged = || PullError::Damaged { pack: span.pack, chunk: chunk.id };
        let begin = usize::try_from(u64::from(chunk.offset) - span.begin).map_err(|_| damaged())?;
        let frame = bytes.get(begin..begin + chunk.stored as usize).ok_or_else(damaged)?;
        let content = zstd::bulk::decompress(frame, chunk.length as usize).map_err(|_| damaged())?;
        if content.len() != chunk.length as usize || ChunkId::of(&content) != chunk.id {
            return Err(damaged());
        }
        targets.write(*number, &content)?;
    }
    Ok(())
}
