//! Wire ↔ words: one file per family of messages, both ways. Reading checks; writing can't fail.

use std::str::FromStr;

use kiln_plan::fingerprint::{Fingerprint, NoFingerprint};
use kiln_plan::id::TaskId;

pub mod data;
pub mod event;
pub mod image;
pub mod link;
pub mod outcome;
pub mod submission;

/// A message makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A field that must be there isn't.
    #[error("{message} lacks {field}")]
    Missing {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
    /// An identifier is no UUID.
    #[error("{text:?} is no {what} identifier")]
    Identifier {
        /// What it should identify.
        what: &'static str,
        /// What was sent.
        text: String,
        /// Why.
        #[source]
        source: <TaskId as FromStr>::Err,
    },
    /// A digest is no fingerprint.
    #[error("{text:?} is no digest of a {what}")]
    Fingerprint {
        /// What it should name.
        what: &'static str,
        /// What was sent.
        text: String,
        /// Why.
        #[source]
        source: NoFingerprint,
    },
    /// A JSON document can't be read.
    #[error("the {what} can't be read")]
    Json {
        /// What it should be.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An event's body is damaged.
    #[error("the body of an event is damaged")]
    Body(#[source] prost::DecodeError),
}

impl From<ConvertError> for crate::Problem {
    fn from(error: ConvertError) -> Self {
        Self::from_error(crate::Code::Invalid, &error)
    }
}

impl From<ConvertError> for tonic::Status {
    fn from(error: ConvertError) -> Self {
        crate::Problem::from(error).into()
    }
}

/// Reads an identifier; `what` names it in errors.
///
/// # Errors
/// When the text is no UUID.
pub fn id<I>(what: &'static str, text: &str) -> Result<I, ConvertError>
where
    I: FromStr<Err = <TaskId as FromStr>::Err>,
{
    text.parse().map_err(|source| ConvertError::Identifier { what, text: text.to_owned(), source })
}

/// Reads a digest; `what` names in errors what it is of.
///
/// # Errors
/// When the text is none.
pub fn fingerprint(what: &'static str, text: &str) -> Result<Fingerprint, ConvertError> {
    text.parse().map_err(|source| ConvertError::Fingerprint { what, text: text.to_owned(), source })
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    json: &[u8],
) -> Result<T, ConvertError> {
    serde_json::from_slice(json).map_err(|source| ConvertError::Json { what, source })
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> prost::bytes::Bytes {
    serde_json::to_vec(value).expect("our types have only string keys and no failing serialisers").into()
}

#[cfg(test)]
mod tests;
