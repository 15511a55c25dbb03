//! An attempt's files become an image: cut into chunks, those that are new sent in packs straight to the object store, and
//! then a manifest that makes all of it visible at once.
//!
//! ```text
//!   files ─► cut (a thread of its own) ─► which are there? (coordinator) ─► compress what is missing (all threads)
//!                                                                               │ packs of 16 MiB
//!            Publish ◄── manifest ◄── where each chunk lies ◄── finish ◄── PUT ◄┘ a few side by side
//! ```
//!
//! Bytes are read once. Memory holds packs under way, some 80 MiB, and what was cut and is not compressed yet, some
//! 70 MiB. Nothing is written to the disk. Whoever wants an image back calls [`pull()`].

use std::path::PathBuf;

use kiln_component::Reporter;
use kiln_plan::byte_count::in_words;
use kiln_plan::event::ProgressUnit;
use kiln_plan::id::ImageId;
use kiln_plan::{Failure, Fault};
use kiln_proto::image::{
    Chunking, Claim, ImageManifest, ImageRecord, ManifestHead, Provenance, Published, safe_path,
};
use kiln_proto::link::AttemptKey;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

mod buffers;
mod client;
pub mod cut;
mod gather;
mod pack;
pub mod publisher;
pub mod pull;
mod transfer;
mod upload;

use client::Client;
use gather::Gathered;
pub use publisher::{Made, Publisher};
pub use pull::{PeoplesImages, PullError, Pulled, pull};
pub use transfer::{Patience, Transfer, TransferError};

/// How often everything is sent again because packs went away before the image was visible.
const ROUNDS: usize = 3;

/// A file to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path in the image: relative, with slashes.
    pub name: String,
}

impl SourceFile {
    /// A file under the name that the template gives it: its path below the working directory, or its bare name when it
    /// lies elsewhere.
    pub fn of(path: PathBuf, working_dir: &std::path::Path) -> Self {
        let inside =
            path.strip_prefix(working_dir).ok().map(|p| p.display().to_string()).filter(|p| safe_path(p));
        let bare =
            || path.file_name().map_or_else(|| "file".to_owned(), |n| n.to_string_lossy().into_owned());
        let name = inside.unwrap_or_else(bare);
        Self { path, name }
    }
}

impl SourceFile {
    /// Files under the names that [`SourceFile::of`] gives them; each once, and no two under the same name.
    pub fn all(paths: impl IntoIterator<Item = PathBuf>, working_dir: &std::path::Path) -> Vec<Self> {
        let mut files: Vec<Self> = Vec::new();
        for path in paths {
            if files.iter().any(|file| file.path == path) {
                continue;
            }
            let mut file = Self::of(path, working_dir);
            let (bare, mut number) = (file.name.clone(), 1);
            while files.iter().any(|other| other.name == file.name) {
                number += 1;
                file.name = format!("{number}-{}", bare.rsplit('/').next().unwrap_or(&bare));
            }
            files.push(file);
        }
        files
    }
}

/// What shall be published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The name of the image.
    pub name: String,
    /// Its files, in the artifact's order. At least one.
    pub files: Vec<SourceFile>,
    /// Where it comes from. It names the agent, the task, the attempt and the epoch that publish.
    pub provenance: Provenance,
}

impl Publication {
    fn claim(&self) -> Claim {
        let Provenance { agent, task, attempt, epoch, .. } = self.provenance;
        Claim::new(agent, AttemptKey { task, attempt, epoch })
    }
}

/// How much it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the files.
    pub size: u64,
    /// Bytes in chunks that were not there, before compression.
    pub new: u64,
    /// Bytes that went to the store.
    pub sent: u64,
    /// In so many packs.
    pub packs: u64,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file can't be read.
    #[error("failed to read {} for the image", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Chunks can't be compressed.
    #[error("failed to compress the image; is there enough memory?")]
    Compress(#[source] std::io::Error),
    /// There is nothing to publish.
    #[error("an image needs at least one file")]
    Empty,
    /// The store doesn't take a pack.
    #[error("the object store did not take a pack in {tries} tries; the last time: {last}")]
    Store {
        /// How often it was tried.
        tries: u32,
        /// What happened the last time.
        last: String,
    },
    /// Packs went away time and again.
    #[error(
        "packs of the image were deleted {ROUNDS} times while it was sent; is somebody collecting without grace?"
    )]
    Gone,
    /// Somebody else has the task.
    #[error("the image is not published: {0}")]
    Stale(String),
    /// The coordinator refuses, or is away for too long.
    #[error("the coordinator did not help to publish the image: {0}")]
    Coordinator(String),
    /// A thread broke off.
    #[error("an internal error broke the publication off; please report it")]
    BrokeOff,
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Cancelled => Self::cancelled(),
            PublishError::Read { .. } | PublishError::Compress(_) | PublishError::BrokeOff => {
                Self::from_error(Fault::Machine, &error)
            }
            PublishError::Empty => Self::from_error(Fault::Template, &error),
            PublishError::Store { .. }
            | PublishError::Gone
            | PublishError::Stale(_)
            | PublishError::Coordinator(_) => Self::from_error(Fault::Farm, &error),
        }
    }
}

/// Publishes an image, and says so. Nothing is visible before all of it is; what was sent of an image that isn't
/// published serves the next try, or goes after a while.
///
/// # Errors
/// When it could not be published. By then nothing of it runs any more.
pub async fn publish(
    channel: Channel,
    transfer: &Transfer,
    publication: &Publication,
    reporter: &Reporter,
    cancel: &CancellationToken,
) -> Result<(ImageRecord, Sent), PublishError> {
    if publication.files.is_empty() {
        return Err(PublishError::Empty);
    }
    let patience = transfer.patience.outage;
    // Its own token, so that whatever still runs ends with this function.
    let within = cancel.child_token();
    let _end = within.clone().drop_guard();
    let client = Client::new(channel, publication.claim(), patience, within.clone());
    for _ in 0..ROUNDS {
        let total = sizes(publication)?;
        let progress = |done: u64| reporter.progress("image", done, Some(total), ProgressUnit::Bytes);
        let gathered = gather::gather(&client, transfer, publication, &within, &progress).await?;
        let sent = gathered.sent;
        let manifest = manifest(publication, gathered);
        let published = client.publish(manifest.encode().into()).await;
        if cancel.is_cancelled() && published.is_err() {
            return Err(PublishError::Cancelled);
        }
        match published? {
            Published::Visible(image) => {
                reporter.say(told(&image, sent));
                return Ok((image, sent));
            }
            Published::Gone(packs) => {
                tracing::warn!(
                    packs = packs.len(),
                    "packs went away while the image was sent; sending them again"
                );
            }
        }
    }
    Err(PublishError::Gone)
}

fn sizes(publication: &Publication) -> Result<u64, PublishError> {
    let size = |file: &SourceFile| {
        let path = || file.path.clone();
        let facts = std::fs::metadata(&file.path);
        facts.map(|facts| facts.len()).map_err(|source| PublishError::Read { path: path(), source })
    };
    publication.files.iter().map(size).sum()
}

fn manifest(publication: &Publication, gathered: Gathered) -> ImageManifest {
    let head = ManifestHead {
        image: ImageId::new(Uuid::now_v7()),
        name: publication.name.clone(),
        version: 0,
        created_ms: publication.provenance.ended_ms,
        chunking: Chunking::default(),
        files: gathered.files,
        packs: gathered.packs,
        provenance: publication.provenance.clone(),
    };
    ImageManifest { head, pieces: gathered.pieces, chunks: gathered.chunks }
}

fn told(image: &ImageRecord, sent: Sent) -> String {
    let (size, sent) = (in_words(sent.size), in_words(sent.sent));
    format!("Published image {}:{} ({size}, of which {sent} were sent)", image.name, image.version)
}
