//! Snapshots: where they lie, and how one is written, sent, received and read.
//!
//! ```text
//!   state ── write ──► building ── rename ──► current ── parts ──► another voter
//!                                               ▲
//!   parts of another voter ──► receiving ───────┘ once it was read and found good
//! ```
//!
//! A snapshot is `KILNSNAP`, its format, its length and its description (up to which entry, who votes), then the
//! farm's state as JSON, compressed. It is streamed to and from the disk; a farm of one keeps it in memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use kiln_model::FarmState;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::Storage;
use super::store::make_private_directory;
use super::types::SnapshotMeta;

const MAGIC: &[u8; 8] = b"KILNSNAP";

/// The format that is written, and the latest that is read.
const FORMAT: u32 = 1;

/// The most bytes of a description.
const DESCRIPTION_LIMIT: u32 = 1 << 20;

/// The fastest level: a leader's time is dearer than its disk.
const LEVEL: i32 = 1;

/// A snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// The disk.
    #[error("failed to {operation} the ledger's snapshot {}", path.display())]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is damaged, or was never one.
    #[error("the ledger's snapshot is damaged")]
    Damaged(#[source] std::io::Error),
    /// It was written by a later version.
    #[error("the ledger's snapshot has format {0}, this version reads up to {FORMAT}; use a newer kiln")]
    TooNew(u32),
}

type Result<T> = std::result::Result<T, SnapshotError>;

/// A snapshot's bytes, as they are sent and received.
#[derive(Debug)]
pub(crate) enum Body {
    /// In memory.
    Memory(Cursor<Vec<u8>>),
    /// In a file.
    File(tokio::fs::File),
}

impl Default for Body {
    fn default() -> Self {
        Self::Memory(Cursor::default())
    }
}

/// Where the snapshots lie. Clones are the same place.
#[derive(Clone, Debug)]
pub(super) enum Snapshots {
    /// In memory.
    Memory(Arc<Mutex<Option<Vec<u8>>>>),
    /// In this directory; whoever replaces the current one takes turns.
    Directory(PathBuf, Arc<Mutex<()>>),
}

impl Snapshots {
    /// The place that belongs to a ledger. Leftovers of what was interrupted are removed.
    pub(super) fn open(storage: &Storage) -> Result<Self> {
        let Storage::Directory(path) = storage else { return Ok(Self::Memory(Arc::default())) };
        let path = path.join("snapshots");
        make_private_directory(&path).map_err(|source| disk("make the directory of", &path, source))?;
        for leftover in ["building", "receiving"] {
            let leftover = path.join(leftover);
            match std::fs::remove_file(&leftover) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(disk("remove", &leftover, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self::Directory(path, Arc::default()))
    }

    /// Writes a snapshot, which replaces the one before. Takes its time: not for an async thread.
    pub(super) fn write(&self, meta: &SnapshotMeta, farm: &FarmState) -> Result<()> {
        match self {
            Self::Memory(kept) => {
                let mut bytes = Vec::new();
                compose(&mut bytes, meta, farm).map_err(|error| disk("write", Path::new("memory"), error))?;
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if !is_newer(kept.as_deref(), meta)? {
                    *kept = Some(bytes);
                }
                Ok(())
            }
            Self::Directory(path, turn) => {
                let building = path.join("building");
                let write = || {
                    let mut file = BufWriter::with_capacity(1 << 20, File::create(&building)?);
                    compose(&mut file, meta, farm)?;
                    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
                };
                write().map_err(|error| disk("write", &building, error))?;
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                if is_newer(open_if_there(&path.join("current"))?, meta)? {
                    return std::fs::remove_file(&building).map_err(|error| disk("remove", &building, error));
                }
                promote(path, &building)
            }
        }
    }

    /// The current snapshot with its state, if there is one. Takes its time.
    pub(super) fn read(&self) -> Result<Option<(SnapshotMeta, FarmState)>> {
        match self {
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.as_deref().map(parse).transpose()
            }
            Self::Directory(path, _) => {
                let Some(file) = open_if_there(&path.join("current"))? else { return Ok(None) };
                parse(BufReader::with_capacity(1 << 20, file)).map(Some)
            }
        }
    }

    /// The current snapshot, to be sent, if there is one.
    pub(super) fn current(&self) -> Result<Option<(SnapshotMeta, Body)>> {
        match self {
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(bytes) = kept.as_ref() else { return Ok(None) };
                let meta = describe(&mut bytes.as_slice())?;
                Ok(Some((meta, Body::Memory(Cursor::new(bytes.clone())))))
            }
            Self::Directory(path, _) => {
                let path = path.join("current");
                let Some(mut file) = open_if_there(&path)? else { return Ok(None) };
                let meta = describe(&mut file)?;
                file.seek(SeekFrom::Start(0)).map_err(|error| disk("read", &path, error))?;
                Ok(Some((meta, Body::File(tokio::fs::File::from_std(file)))))
            }
        }
    }

    /// A place for a snapshot of another voter.
    pub(super) fn receive(&self) -> Result<Body> {
        match self {
            Self::Memory(_) => Ok(Body::default()),
            Self::Directory(path, _) => {
                let path = path.join("receiving");
                let mut options = File::options();
                options.read(true).write(true).create(true).truncate(true);
                let file = options.open(&path).map_err(|error| disk("receive", &path, error))?;
                Ok(Body::File(tokio::fs::File::from_std(file)))
            }
        }
    }

    /// Reads a snapshot that was received, and makes it the current one if it is good.
    pub(super) async fn install(&self, body: Body) -> Result<(SnapshotMeta, FarmState)> {
        let file = match (self, body) {
            (Self::Memory(kept), Body::Memory(bytes)) => {
                let bytes = bytes.into_inner();
                let read = parse(bytes.as_slice())?;
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
                return Ok(read);
            }
            (Self::Directory(..), Body::File(mut file)) => {
                let flushed = tokio::io::AsyncWriteExt::flush(&mut file).await;
                flushed.map_err(SnapshotError::Damaged)?;
                file.into_std().await
            }
            (Self::Memory(_), Body::File(_)) | (Self::Directory(..), Body::Memory(_)) => {
                return Err(SnapshotError::Damaged(std::io::ErrorKind::InvalidInput.into()));
            }
        };
        let Self::Directory(path, turn) = self.clone() else {
            return Err(SnapshotError::Damaged(std::io::ErrorKind::InvalidInput.into()));
        };
        let take = move || {
            let receiving = path.join("receiving");
            let mut file = file;
            file.seek(SeekFrom::Start(0)).map_err(|error| disk("read", &receiving, error))?;
            file.sync_all().map_err(|error| disk("write", &receiving, error))?;
            let read = parse(BufReader::with_capacity(1 << 20, file))?;
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            promote(&path, &receiving)?;
            Ok(read)
        };
        let taken = tokio::task::spawn_blocking(take).await;
        taken.unwrap_or_else(|stopped| Err(SnapshotError::Damaged(std::io::Error::other(stopped))))
    }
}

fn disk(operation: &'static str, path: &Path, source: std::io::Error) -> SnapshotError {
    SnapshotError::Disk { operation, path: path.to_owned(), source }
}

fn open_if_there(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("open", path, error)),
    }
}

/// Whether the current snapshot tells more than another: one may have been received while one was written.
fn is_newer(current: Option<impl Read>, than: &SnapshotMeta) -> Result<bool> {
    let Some(mut current) = current else { return Ok(false) };
    Ok(describe(&mut current)?.last_log_id > than.last_log_id)
}

/// Makes a whole snapshot the current one, for good.
fn promote(directory: &Path, from: &Path) -> Result<()> {
    let current = directory.join("current");
    let renamed = std::fs::rename(from, &current).and_then(|()| File::open(directory)?.sync_all());
    renamed.map_err(|error| disk("replace", &current, error))
}

fn compose(to: &mut impl Write, meta: &SnapshotMeta, farm: &FarmState) -> std::io::Result<()> {
    let description = serde_json::to_vec(meta)?;
    let length = u32::try_from(description.len()).map_err(std::io::Error::other)?;
    to.write_all(MAGIC)?;
    to.write_all(&FORMAT.to_le_bytes())?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&description)?;
    let mut body = zstd::Encoder::new(to, LEVEL)?;
    body.include_checksum(true)?;
    serde_json::to_writer(&mut body, farm)?;
    body.finish()?;
    Ok(())
}

/// The head of a snapshot.
fn describe(from: &mut impl Read) -> Result<SnapshotMeta> {
    let mut head = [0; 16];
    from.read_exact(&mut head).map_err(SnapshotError::Damaged)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (format, length) = (word(8), word(12));
    if &head[..8] != MAGIC || length > DESCRIPTION_LIMIT {
        return Err(SnapshotError::Damaged(std::io::ErrorKind::InvalidData.into()));
    }
    if format > FORMAT {
        return Err(SnapshotError::TooNew(format));
    }
    let mut description = vec![0; length as usize];
    from.read_exact(&mut description).map_err(SnapshotError::Damaged)?;
    serde_json::from_slice(&description).map_err(|error| SnapshotError::Damaged(error.into()))
}

fn parse(mut from: impl Read) -> Result<(SnapshotMeta, FarmState)> {
    let meta = describe(&mut from)?;
    let mut json = Vec::new();
    let mut body = zstd::Decoder::new(from).map_err(SnapshotError::Damaged)?;
    body.read_to_end(&mut json).map_err(SnapshotError::Damaged)?;
    // From memory rather than from the stream, which is several times slower.
    let farm = serde_json::from_slice(&json).map_err(|error| SnapshotError::Damaged(error.into()))?;
    Ok((meta, farm))
}

impl AsyncRead for Body {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Memory(bytes) => Pin::new(bytes).poll_read(cx, buffer),
            Self::File(file) => Pin::new(file).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Body {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Memory(kept) => Pin::new(kept).poll_write(cx, bytes),
            Self::File(file) => Pin::new(file).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Memory(bytes) => Pin::new(bytes).poll_flush(cx),
            Self::File(file) => Pin::new(file).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Memory(bytes) => Pin::new(bytes).poll_shutdown(cx),
            Self::File(file) => Pin::new(file).poll_shutdown(cx),
        }
    }
}

impl AsyncSeek for Body {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> std::io::Result<()> {
        match self.get_mut() {
            Self::Memory(bytes) => Pin::new(bytes).start_seek(position),
            Self::File(file) => Pin::new(file).start_seek(position),
        }
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<u64>> {
        match self.get_mut() {
            Self::Memory(bytes) => Pin::new(bytes).poll_complete(cx),
            Self::File(file) => Pin::new(file).poll_complete(cx),
        }
    }
}
