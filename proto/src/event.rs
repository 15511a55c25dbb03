//! Events as they are stored and handed on: with their place and time in the open, and a closed body.
//!
//! A coordinator that hands events from a newer agent to a newer client does not look into the body, so
//! kinds that it has never heard of survive.

use std::io::Read as _;

use kiln_plan::event::{Event, EventKind};
use kiln_plan::id::TaskId;
use prost::Message as _;
use prost::bytes::Bytes;

use crate::convert::ConvertError;
use crate::rest::{self, OpenRecordError};
use crate::v1;

pub mod place;

/// One event of a task, closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place among the events of the task, see [`place`].
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch, by the machine's clock.
    pub at_ms: u64,
    /// What, encoded.
    pub body: Bytes,
}

/// What a record takes besides its body, in bytes: an estimate for bounding memory.
pub const RECORD_OVERHEAD: usize = 64;

impl Record {
    /// Closes an event.
    pub fn new(sequence: u64, at_ms: u64, kind: &EventKind) -> Self {
        Self { sequence, at_ms, body: crate::convert::event::encode(kind) }
    }

    /// Opens it; `None` when its kind is one of the future.
    ///
    /// # Errors
    /// When the body is damaged.
    pub fn open(&self, task: TaskId) -> Result<Option<Event>, ConvertError> {
        let kind = crate::convert::event::decode(&self.body)?;
        Ok(kind.map(|kind| Event { task, sequence: self.sequence, at_ms: self.at_ms, kind }))
    }

    /// How much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + RECORD_OVERHEAD
    }
}

/// Consecutive events of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecords {
    /// The task.
    pub task: TaskId,
    /// Its events, in order.
    pub records: Vec<Record>,
}

/// The format of packed events that is written, and the latest that is read.
const FORMAT: u32 = 1;

/// How hard events are compressed: they are written once and read seldom.
const LEVEL: i32 = 6;

/// The most bytes of packed events that are read, uncompressed.
const LARGEST: u64 = 64 << 20;

/// Packed events could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// The record can't be opened.
    #[error("failed to open packed events")]
    Record(#[source] OpenRecordError),
    /// They could not be compressed or decompressed.
    #[error("failed to compress or decompress events")]
    Compression(#[source] std::io::Error),
    /// The message is damaged.
    #[error("packed events are damaged")]
    Message(#[source] prost::DecodeError),
    /// The message makes no sense.
    #[error("packed events make no sense")]
    Meaning(#[source] ConvertError),
}

impl TaskRecords {
    /// The events as they lie in an archive.
    ///
    /// # Errors
    /// When they could not be compressed, which means that memory ran out.
    pub fn pack(self) -> Result<Vec<u8>, PackedError> {
        let plain = v1::TaskEvents::from(self).encode_to_vec();
        let packed = zstd::encode_all(&plain[..], LEVEL).map_err(PackedError::Compression)?;
        Ok(rest::seal(FORMAT, packed))
    }

    /// The events of an archive's record.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn unpack(record: &[u8]) -> Result<Self, PackedError> {
        let (_, body) = rest::open("record of events", FORMAT, record).map_err(PackedError::Record)?;
        let mut plain = Vec::new();
        let decoder = zstd::Decoder::new(&body[..]).map_err(PackedError::Compression)?;
        decoder.take(LARGEST).read_to_end(&mut plain).map_err(PackedError::Compression)?;
        let events = v1::TaskEvents::decode(&plain[..]).map_err(PackedError::Message)?;
        events.try_into().map_err(PackedError::Meaning)
    }
}
