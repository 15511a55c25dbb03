//! What lies on a disk names its format, so that a later version can read it and an earlier one refuses it
//! instead of misreading it.

use prost::Message;
use prost::bytes::Bytes;

/// A record could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRecordError {
    /// It is not a record, or damaged.
    #[error("the {what} is damaged ({bytes} bytes)")]
    Damaged {
        /// What it should be.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// It was written by a later version.
    #[error("the {what} has format {found}, this version reads up to {known}; use a newer kiln")]
    TooNew {
        /// What it is.
        what: &'static str,
        /// Its format.
        found: u32,
        /// The latest format that is known.
        known: u32,
    },
}

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "the code is generated; its documentation stands in the .proto file"
)]
pub(crate) mod generated {
    tonic::include_proto!("kiln.rest.v1");
}

use generated::Record;

/// Names the format of a body.
pub fn seal(format: u32, body: impl Into<Bytes>) -> Vec<u8> {
    Record { format, body: body.into() }.encode_to_vec()
}

/// The format and body of a record; `what` names it in errors.
///
/// # Errors
/// When it is damaged or its format is above `known`.
pub fn open(what: &'static str, known: u32, record: &[u8]) -> Result<(u32, Bytes), OpenRecordError> {
    let opened = Record::decode(record);
    let bytes = record.len();
    let Record { format, body } =
        opened.map_err(|source| OpenRecordError::Damaged { what, bytes, source })?;
    if format > known {
        return Err(OpenRecordError::TooNew { what, found: format, known });
    }
    Ok((format, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_record_opens_again() {
        let record = seal(1, b"words".to_vec());
        assert_eq!(open("log entry", 1, &record).unwrap(), (1, Bytes::from_static(b"words")));
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_with_advice() {
        let error = open("log entry", 1, &seal(2, Vec::new())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the log entry has format 2, this version reads up to 1; use a newer kiln"
        );
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let error = open("snapshot", 1, b"\xff\xff\xff").unwrap_err();
        assert_eq!(error.to_string(), "the snapshot is damaged (3 bytes)");
    }

    #[test]
    fn format_1_looks_like_this() {
        assert_eq!(seal(1, b"{}".to_vec()), [0x08, 1, 0x12, 2, b'{', b'}']);
    }
}
