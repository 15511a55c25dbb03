//! An object as it is written in pieces: there whole once it is finished, and not at all before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kiln_proto::Bytes;
use object_store::{MultipartUpload, PutPayload};

use super::{StoreError, bounded, failed, lost};

/// Bytes that are gathered before they are handed on.
const PIECE: usize = 8 << 20;

/// An object being written. Unless it is finished, nothing of it stays; [`Writing::abort`] sees to it at once.
pub struct Writing {
    key: String,
    upload: Box<dyn MultipartUpload>,
    gathered: Vec<Bytes>,
    bytes: usize,
    lost_writes: Arc<AtomicU64>,
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writing({})", self.key)
    }
}

impl Writing {
    pub(super) fn new(key: &str, upload: Box<dyn MultipartUpload>, lost_writes: Arc<AtomicU64>) -> Self {
        Self { key: key.to_owned(), upload, gathered: Vec::new(), bytes: 0, lost_writes }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the store does not take them.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.bytes += bytes.len();
        self.gathered.push(bytes);
        if self.bytes < PIECE { Ok(()) } else { self.hand_on().await }
    }

    async fn hand_on(&mut self) -> Result<(), StoreError> {
        let size = std::mem::take(&mut self.bytes) as u64;
        let piece: PutPayload = std::mem::take(&mut self.gathered).into_iter().collect();
        let put = bounded("put", &self.key, size, self.upload.put_part(piece)).await;
        put.inspect_err(|_| lost(&self.lost_writes))
    }

    /// Makes the object visible.
    ///
    /// # Errors
    /// When the store does not take it. It may be there nevertheless.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        if self.bytes > 0 {
            self.hand_on().await?;
        }
        let put = bounded("put", &self.key, 0, self.upload.complete()).await;
        put.map(drop).inspect_err(|_| lost(&self.lost_writes))
    }

    /// Drops what was written.
    ///
    /// # Errors
    /// When the store keeps some of it; it is not visible in any case.
    pub async fn abort(mut self) -> Result<(), StoreError> {
        self.upload.abort().await.map_err(|error| failed("drop", &self.key, error))
    }
}
