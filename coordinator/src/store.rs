//! The object store of a farm: plans, bundles, logs, packs of chunks and manifests of images. The only door to
//! the crate that speaks to S3, Google Cloud Storage and Azure.
//!
//! ```text
//!   coordinator ── put, get, head, list, delete ──► Store ──► memory · a directory · S3 · GCS · Azure
//!                                                     │
//!   agent, person ◄── Link: one object, one method, ──┘   signed by the cloud, or by ourselves where there is
//!                     one size, a few minutes             no cloud: then [`crate::http::objects`] answers it
//! ```
//!
//! What everybody may rely on: an object is there whole or not at all, no call lasts longer than its limit, and
//! each is tried again where that helps. Never relied on: conditional writes, for not every store has them;
//! whatever needs one goes through the ledger.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kiln_proto::Bytes;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};

pub(crate) mod link;
mod mark;
mod open;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

pub use link::{Links, RefusedLink};
pub use mark::Owner;
pub use open::OpenStoreError;
pub use settings::{AzureSettings, GcsSettings, KeyPair, S3Settings, StoreSettings};
pub use writing::Writing;

/// How long a call may take in all, with everything that is tried again, and per MiB on top.
const CALL_LIMIT: Duration = Duration::from_secs(45);
const LIMIT_PER_MIB: Duration = Duration::from_secs(2);

/// The most bytes that are read into memory at once. Images are never read so.
const READ_LIMIT: u64 = 96 << 20;

/// A call to the object store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store said no, or could not be reached.
    #[error("the object store could not {operation} {key}")]
    Failed {
        /// What was tried, as in `put`.
        operation: &'static str,
        /// The object.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came.
    #[error("the object store did not answer within {} s when told to {operation} {key}", limit.as_secs())]
    TimedOut {
        /// What was tried.
        operation: &'static str,
        /// The object.
        key: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It is larger than anything of its kind.
    #[error("{key} has {size} bytes, more than the {READ_LIMIT} that are read at once")]
    TooLarge {
        /// The object.
        key: String,
        /// Its size.
        size: u64,
    },
    /// The key is none.
    #[error("{0:?} can't be the key of an object")]
    Key(String),
    /// It can't be sealed, or was sealed with a key that is not here, or changed.
    #[error("the object store could not {operation} {key}")]
    Seal {
        /// What was tried, as in `unseal`.
        operation: &'static str,
        /// The object.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Links were asked of a store that has no address.
    #[error(
        "the object store is {0}, which others can't reach; give the coordinator an address of its own for objects"
    )]
    NoLinks(String),
}

impl StoreError {
    /// Whether the same may succeed later: the store failed, and not what was asked of it.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } => true,
            Self::TooLarge { .. } | Self::Key(_) | Self::Seal { .. } | Self::NoLinks(_) => false,
        }
    }
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the store's clock, in milliseconds since the Unix epoch.
    pub modified_ms: u64,
    /// The store's tag of this content, where it has one.
    pub tag: Option<String>,
}

/// What a link allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading it, whole or in part.
    Read,
    /// Writing exactly this.
    Write {
        /// Bytes.
        size: u64,
        /// The SHA-256 of the content. Stores that can check it refuse anything else.
        sha256: [u8; 32],
    },
}

/// A permission to read or write one object for a while, for somebody without keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// Where. Whoever has it may use it, so it is never logged.
    pub url: String,
    /// Headers that must be sent along, exactly so.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(…)")
    }
}

/// A part of an object as it is read.
pub struct Reading {
    /// The whole object.
    pub facts: ObjectFacts,
    /// The part.
    pub range: Range<u64>,
    /// Its bytes.
    pub bytes: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("facts", &self.facts)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// Who signs links.
#[derive(Clone, Debug)]
enum Signs {
    /// The cloud, by the coordinator's keys; with the headers that it wants on a write.
    Cloud { signer: Arc<dyn Signer>, dialect: link::Dialect },
    /// We do, and we answer them.
    Ourselves(Option<Links>),
}

/// An object store. Clones are the same one.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn ObjectStore>,
    /// Before each key; empty, or with a slash at its end.
    prefix: Arc<str>,
    /// For people, as in `the bucket images`.
    place: Arc<str>,
    signs: Signs,
    /// How many writes failed.
    lost_writes: Arc<AtomicU64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.place)
    }
}

fn failed(
    operation: &'static str,
    key: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Failed { operation, key: key.to_owned(), source: Box::new(error) }
}

/// `None` when there is no such object.
fn found<T>(result: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn bounded<T>(
    operation: &'static str,
    key: &str,
    bytes: u64,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StoreError> {
    let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
    let limit = CALL_LIMIT.saturating_add(LIMIT_PER_MIB.saturating_mul(mib));
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(|error| failed(operation, key, error)),
        Err(_) => Err(StoreError::TimedOut { operation, key: key.to_owned(), limit }),
    }
}

fn lost(writes: &AtomicU64) {
    writes.fetch_add(1, Ordering::Relaxed);
}

impl Store {
    /// Opens a store. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the settings make no sense, or a directory can't be made.
    pub fn open(settings: &StoreSettings) -> Result<Self, OpenStoreError> {
        open::open(settings)
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The same store, with links that `links` signs where no cloud does.
    #[must_use]
    pub fn with_links(mut self, links: Links) -> Self {
        if let Signs::Ourselves(ours) = &mut self.signs {
            *ours = Some(links);
        }
        self
    }

    /// Who signs links of this store, when that isn't a cloud.
    pub const fn links(&self) -> Option<&Links> {
        match &self.signs {
            Signs::Ourselves(links) => links.as_ref(),
            Signs::Cloud { .. } => None,
        }
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        let sound = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && part != ".."
                && part != "."
        };
        if key.len() > 512 || !key.split('/').all(sound) {
            return Err(StoreError::Key(key.to_owned()));
        }
        Path::parse(format!("{}{key}", self.prefix)).map_err(|_| StoreError::Key(key.to_owned()))
    }

    fn facts(&self, meta: &object_store::ObjectMeta) -> ObjectFacts {
        let path = meta.location.as_ref();
        ObjectFacts {
            key: path.strip_prefix(&*self.prefix).unwrap_or(path).to_owned(),
            size: meta.size,
            modified_ms: u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0),
            tag: meta.e_tag.clone(),
        }
    }

    /// Writes an object, also over one that is there.
    ///
    /// # Errors
    /// When it could not be written. It may be there nevertheless.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let size = bytes.len() as u64;
        let put = bounded("put", key, size, self.backend.put(&path, PutPayload::from_bytes(bytes))).await;
        put.map(drop).inspect_err(|_| lost(&self.lost_writes))
    }

    /// How many writes failed so far, not counting those of agents that write by links to a cloud.
    pub fn lost_writes(&self) -> u64 {
        self.lost_writes.load(Ordering::Relaxed)
    }

    /// Begins to write an object in pieces; it is there once that is finished, and not before.
    ///
    /// # Errors
    /// When it could not be begun.
    pub async fn write(&self, key: &str) -> Result<Writing, StoreError> {
        let path = self.path(key)?;
        let upload = bounded("put", key, 0, self.backend.put_multipart(&path)).await?;
        Ok(Writing::new(key, upload, Arc::clone(&self.lost_writes)))
    }

    /// An object; `None` when there is none.
    ///
    /// # Errors
    /// When it could not be read, or is too large to be read at once.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(key)?;
        let begun = bounded("get", key, 0, async { found(self.backend.get(&path).await) }).await?;
        let Some(begun) = begun else { return Ok(None) };
        let size = begun.meta.size;
        if size > READ_LIMIT {
            return Err(StoreError::TooLarge { key: key.to_owned(), size });
        }
        bounded("get", key, size, begun.bytes()).await.map(Some)
    }

    /// A part of an object; `None` when there is no object.
    ///
    /// # Errors
    /// When it could not be read, or the part lies beyond its end.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(key)?;
        let size = range.end.saturating_sub(range.start);
        if size > READ_LIMIT {
            return Err(StoreError::TooLarge { key: key.to_owned(), size });
        }
        bounded("get", key, size, async { found(self.backend.get_range(&path, range).await) }).await
    }

    /// An object or a part of it, as a stream; `None` when there is none.
    ///
    /// # Errors
    /// When it could not be opened, or the part lies beyond its end.
    pub async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Reading>, StoreError> {
        let path = self.path(key)?;
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let begun =
            bounded("get", key, 0, async { found(self.backend.get_opts(&path, options).await) }).await?;
        Ok(begun.map(|begun| Reading {
            facts: self.facts(&begun.meta),
            range: begun.range.clone(),
            bytes: begun.into_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed(),
        }))
    }

    /// What is known of an object; `None` when there is none.
    ///
    /// # Errors
    /// When the store doesn't answer.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectFacts>, StoreError> {
        let path = self.path(key)?;
        let meta = bounded("look up", key, 0, async { found(self.backend.head(&path).await) }).await?;
        Ok(meta.map(|meta| self.facts(&meta)))
    }

    /// Removes an object. Removing what isn't there does nothing.
    ///
    /// # Errors
    /// When it could not be removed.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        bounded("delete", key, 0, async { found(self.backend.delete(&path).await) }).await.map(drop)
    }

    /// All objects under a folder, as `packs`, in no particular order.
    ///
    /// # Errors
    /// When the store doesn't list them.
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectFacts>, StoreError> {
        let path = self.path(folder)?;
        let mut listed = self.backend.list(Some(&path));
        let mut all = Vec::new();
        // Each page has a limit of its own, the whole has none: it ends with the objects.
        while let Some(meta) = bounded("list", folder, 0, async { listed.next().await.transpose() }).await? {
            all.push(self.facts(&meta));
        }
        Ok(all)
    }

    /// A permission to read or write an object for a while.
    ///
    /// # Errors
    /// When it can't be signed.
    pub async fn link(&self, key: &str, access: &Access, expires_in: Duration) -> Result<Link, StoreError> {
        let path = self.path(key)?;
        match &self.signs {
            Signs::Ourselves(Some(links)) => Ok(links.sign(key, access, expires_in)),
            Signs::Ourselves(None) => Err(StoreError::NoLinks(self.place.to_string())),
            Signs::Cloud { signer, dialect } => {
                let signed = dialect.sign(&**signer, &path, access, expires_in);
                bounded("make a link to", key, 0, signed).await
            }
        }
    }
}
