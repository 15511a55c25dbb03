//! What the ledger writes: JSON in a record that names its format. JSON, because whoever has to look into a
//! broken farm reads it with the tools at hand, and entries are small.

use kiln_proto::rest::{self, OpenRecordError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The format that is written, and the latest that is read.
pub(super) const FORMAT: u32 = 1;

/// A record could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// It could not be opened.
    #[error("failed to open a record of the ledger")]
    Open(#[source] OpenRecordError),
    /// Its body is not what it should be.
    #[error("the body of the {what} is damaged")]
    Body {
        /// What it should be.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The record of a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = serde_json::to_vec(value).expect("our types have only string keys and no failing serialisers");
    rest::seal(FORMAT, body)
}

/// The value of a record; `what` names it in errors.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, record: &[u8]) -> Result<T, DecodeError> {
    let (_, body) = rest::open(what, FORMAT, record).map_err(DecodeError::Open)?;
    serde_json::from_slice(&body).map_err(|source| DecodeError::Body { what, source })
}

/// How many bytes a value takes in an entry.
pub(super) fn size<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("counting never fails");
    counter.0
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
