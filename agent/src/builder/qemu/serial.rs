//! What the guest writes to its first serial port, and QEMU to its error stream: the last of it is kept, for evidence
//! when something went wrong.
//!
//! For the serial port QEMU dials a socket of ours. A guest is not to be trusted with our disk or memory, hence only
//! the tail is kept; it is always read, so that a talkative guest never stalls.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bytes kept.
const KEPT: usize = 64 << 10;

/// The last of what came from somewhere. Cheap to clone; all clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    total: u64,
}

impl Tail {
    /// Takes what came.
    pub fn append(&self, bytes: &[u8]) {
        let Ok(mut kept) = self.0.lock() else { return };
        kept.total += bytes.len() as u64;
        kept.bytes.extend_from_slice(bytes);
        // Cut rarely: each cut moves the rest.
        if kept.bytes.len() > 2 * KEPT {
            let surplus = kept.bytes.len() - KEPT;
            kept.bytes.drain(..surplus);
        }
    }

    /// Reads until the other side ends.
    pub async fn follow(&self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.append(&buffer[..count]);
        }
    }

    /// How many bytes came in all: a sign of progress.
    pub fn total(&self) -> u64 {
        self.0.lock().map_or(0, |kept| kept.total)
    }

    /// The last `count` lines that hold anything, without control sequences.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let bytes = self.0.lock().map(|kept| kept.bytes.clone()).unwrap_or_default();
        let text = printable(&String::from_utf8_lossy(&bytes));
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|l| (*l).to_owned()).collect()
    }
}

/// A socket for the guest's serial output. Stops listening when dropped.
#[derive(Debug)]
pub struct SerialListener {
    _stop: DropGuard,
}

impl SerialListener {
    /// Listens at `path` for QEMU to dial, and keeps what comes in `tail`.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub fn bind(path: &Path, tail: Tail) -> std::io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        let stop = CancellationToken::new();
        let reading = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tail.follow(stream).await;
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(reading));
        Ok(Self { _stop: stop.drop_guard() })
    }
}

/// The text without escape sequences and other control characters; what a carriage return overwrote is gone.
fn printable(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for line in text.split('\n') {
        let line = line.trim_end_matches('\r');
        let shown = line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default();
        let mut rest = shown.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' if rest.next_if_eq(&'[').is_some() => {
                    while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
                }
                '\t' => lines.push(' '),
                c if c.is_control() => {}
                c => lines.push(c),
            }
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_would_have_seen_is_shown() {
        let cases = [
            ("\x1b[2J\x1b[1;32mOK\x1b[0m done\r\n", "OK done\n\n"),
            ("10%\r50%\r100%\r\n", "100%\n\n"),
            ("a\x07b\tc", "ab c\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_talkative_guest_costs_no_more_than_the_tail() {
        let tail = Tail::default();
        for _ in 0..1000 {
            tail.append(&[b'x'; 1000]);
        }
        let kept = tail.0.lock().expect("no panic").bytes.len();
        assert!((KEPT..=2 * KEPT).contains(&kept));
        assert_eq!(tail.total(), 1_000_000);
    }
}
