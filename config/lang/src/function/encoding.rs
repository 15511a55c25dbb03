//! Base64, URLs and character sets.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

use super::argument::{Outcome, bounded, string, text};
use super::{Function, FunctionError};
use crate::types::Type;
use crate::value::Value;

mod charset;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("base64decode", [string("str")], Type::String, |args| {
            let bytes = decode_base64(text(args, 0)?)?;
            let not_text =
                |_| FunctionError::argument(0, "the result of decoding the given string is not valid UTF-8");
            bounded(String::from_utf8(bytes).map_err(not_text)?)
        }),
        Function::new("base64encode", [string("str")], Type::String, |args| {
            bounded(STANDARD.encode(text(args, 0)?))
        }),
        Function::new("base64gzip", [string("str")], Type::String, gzip),
        Function::new("urlencode", [string("str")], Type::String, |args| bounded(url_encode(text(args, 0)?))),
        Function::new("textencodebase64", [string("string"), string("encoding")], Type::String, |args| {
            let charset = charset::find(text(args, 1)?).map_err(|e| FunctionError::argument(1, e))?;
            let bytes = charset.encode(text(args, 0)?).map_err(|e| FunctionError::argument(0, e))?;
            bounded(STANDARD.encode(bytes))
        }),
        Function::new("textdecodebase64", [string("source"), string("encoding")], Type::String, |args| {
            let charset = charset::find(text(args, 1)?).map_err(|e| FunctionError::argument(1, e))?;
            let bytes = decode_base64(text(args, 0)?)?;
            bounded(charset.decode(&bytes).map_err(|e| FunctionError::argument(0, e))?)
        }),
    ]
}

/// Padded base64; line ends inside are skipped.
pub(super) fn decode_base64(source: &str) -> Result<Vec<u8>, FunctionError> {
    let kept: String = source.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD
        .decode(kept)
        .map_err(|e| FunctionError::argument(0, format!("failed to decode base64 data: {e}")))
}

/// Gzip without time or name. The bytes may differ from those of Go's deflate; what they unpack to doesn't.
fn gzip(args: &[Value]) -> Outcome {
    const UNKNOWN_SYSTEM: u8 = 255;
    let failed = |e: std::io::Error| FunctionError::new(format!("failed to compress: {e}"));
    let mut writer =
        GzBuilder::new().operating_system(UNKNOWN_SYSTEM).write(Vec::new(), Compression::default());
    writer.write_all(text(args, 0)?.as_bytes()).map_err(failed)?;
    // Packer's ends with a flushed, empty block.
    writer.flush().map_err(failed)?;
    bounded(STANDARD.encode(writer.finish().map_err(failed)?))
}

/// The form of query strings: a blank becomes `+`.
fn url_encode(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
