//! The checksum beside each plug-in program: a file of its name with `_SHA256SUM` behind it, holding 64 hexadecimal
//! digits and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What the name of a checksum file ends with.
pub const SUFFIX: &str = "_SHA256SUM";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Where the checksum of a program lies.
pub fn companion(program: &Path) -> PathBuf {
    let mut name = program.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// The SHA-256 of a file's content, in lower-case hexadecimal. Reads all of it: blocks for as long as that takes.
///
/// # Errors
/// When it can't be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// The checksum that lies beside a program, in lower case; `None` when what lies there is no checksum.
///
/// # Errors
/// When there is none, or it can't be read.
pub fn expected(program: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    // A checksum file is short; a long one is something else.
    let read = File::open(companion(program))?.take(4096).read_to_string(&mut text);
    match read {
        Ok(_) => Ok(Some(text.trim().to_ascii_lowercase()).filter(|t| is_sha256(t))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a text is a SHA-256 in hexadecimal.
pub fn is_sha256(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}
