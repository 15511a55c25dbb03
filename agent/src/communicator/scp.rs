//! The protocol that `scp -t` and `scp -f` speak: one side sends lines and contents, the other answers each with a
//! byte. Both sides are here, over any pair of streams: the SSH communicator is the source or sink opposite the
//! guest's scp, and the ansible adapter stands in for a guest's scp opposite the client's.
//!
//! ```text
//!   source                     sink
//!                        ◄──   0                      ready
//!   C0644 5 name\n       ──►
//!                        ◄──   0                      file can be written
//!   5 bytes, 0           ──►
//!   C0600 9 next\n       ──►                          (sent without waiting: both answers are read together,
//!                        ◄──   0 0                     which halves the round trips for many small files)
//!   D0755 0 dir\n … E\n        1message\n | 2message\n  refused
//! ```
//!
//! A content is never sent before its line was accepted: a sink that refuses a line would read it as lines.

mod sink;
mod source;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt};

pub use sink::{Sink, Target};
pub use source::{Header, Source};

/// The longest line or message that is read; real ones are shorter than a path.
const MAX_LINE: usize = 16 * 1024;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum ScpError {
    /// The stream broke.
    #[error("the connection of the transfer broke")]
    Stream(#[source] io::Error),
    /// The other side refused something, in its own words.
    #[error("{0}")]
    Refused(String),
    /// Something other than scp talks there.
    #[error(
        "the other side doesn't speak scp, but says {0:?}; a login script that prints something is a usual cause"
    )]
    Garbage(String),
    /// A name can't be carried or must not be written.
    #[error("the name {0:?} cannot be used")]
    Name(String),
    /// A file on this machine failed.
    #[error("{}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads a line up to its end, which isn't part of it. `None` at the end of the stream.
async fn line<R: AsyncRead + Unpin>(input: &mut R) -> Result<Option<Vec<u8>>, ScpError> {
    let mut text = Vec::new();
    loop {
        match input.read_u8().await {
            Ok(b'\n') => return Ok(Some(text)),
            Ok(byte) => text.push(byte),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && text.is_empty() => return Ok(None),
            Err(e) => return Err(ScpError::Stream(e)),
        }
        if text.len() > MAX_LINE {
            text.truncate(80);
            return Err(ScpError::Garbage(readable(&text)));
        }
    }
}

/// What the other side said, fit to be shown: it is a guest's word and may hold anything.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
