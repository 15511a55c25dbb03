//! The manifest as text: the names, their order and the escapes that Packer writes.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Deserializer, Serialize};

/// The whole file. What it doesn't know of an older file is lost when it is written again, as in Packer.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) builds: Vec<Entry>,
    pub(super) last_run_uuid: String,
}

/// One artifact.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) builder_type: String,
    /// Seconds since the Unix epoch; left out when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) build_time: u64,
    /// Null, not empty, when there are none.
    pub(super) files: Option<Vec<File>>,
    pub(super) artifact_id: String,
    pub(super) packer_run_uuid: String,
    pub(super) custom_data: Option<BTreeMap<String, String>>,
}

/// One file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) size: u64,
}

impl Manifest {
    pub(super) fn parse(text: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(text).map_err(|e| {
            let text = format!("the file that is there is no manifest ({e}); move it away");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Two spaces deep, no final newline, and what HTML would mistake escaped.
    pub(super) fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        // Outside of strings JSON has none of these.
        text.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn null_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    Option::<Vec<Entry>>::deserialize(deserializer).map(Option::unwrap_or_default)
}
