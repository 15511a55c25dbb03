//! Lines out of a program's or guest's bytes, as Packer shows them.
//!
//! Split at `\n`; trailing white space goes; of a line that was overwritten with `\r` only what was written last
//! stays (progress bars); empty lines are dropped; bytes that are no UTF-8 become `�`. One rule for guests
//! and local programs, so that both read alike.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A line longer than this is cut into pieces: a guest must not fill the agent's memory with a line that
/// never ends.
pub const LONGEST_LINE: usize = 1 << 20;

/// Bytes in, lines out.
#[derive(Debug, Default)]
pub struct LineSplitter {
    rest: Vec<u8>,
}

impl LineSplitter {
    /// Takes the next bytes and hands every line that they complete to `line`.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.rest.extend_from_slice(&bytes[..end]);
            self.finish(&mut line);
            bytes = &bytes[end + 1..];
        }
        for piece in bytes.chunks(LONGEST_LINE) {
            self.rest.extend_from_slice(piece);
            if self.rest.len() >= LONGEST_LINE {
                self.finish(&mut line);
            }
        }
    }

    /// Hands over what stands after the last line ending.
    pub fn finish(&mut self, mut line: impl FnMut(&str)) {
        if let Some(text) = shown(&std::mem::take(&mut self.rest)) {
            line(&text);
        }
    }
}

/// What of a raw line is shown; `None` when nothing is.
fn shown(raw: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_end();
    let text = text.rsplit('\r').next().unwrap_or(text);
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads to the end and hands over every line. May be dropped at any time; what was not yet handed over is lost.
///
/// # Errors
/// When reading fails; lines before that have been handed over.
pub async fn for_each_line(
    mut reader: impl AsyncRead + Unpin,
    mut line: impl FnMut(&str),
) -> std::io::Result<()> {
    let mut splitter = LineSplitter::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = reader.read(&mut buffer).await;
        match count {
            Ok(0) => break,
            Ok(count) => splitter.push(&buffer[..count], &mut line),
            Err(e) => {
                splitter.finish(&mut line);
                return Err(e);
            }
        }
    }
    splitter.finish(line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut splitter = LineSplitter::default();
        for chunk in chunks {
            splitter.push(chunk, |l| out.push(l.to_owned()));
        }
        splitter.finish(|l| out.push(l.to_owned()));
        out
    }

    #[test]
    fn bytes_become_the_lines_that_packer_shows() {
        let cases: [(&[&[u8]], &[&str]); 8] = [
            (&[b"a\nb\n"], &["a", "b"]),
            (&[b"a\r\nb"], &["a", "b"]),
            (&[b"hel", b"lo\nwor", b"ld"], &["hello", "world"]),
            (&[b"10%\r50%\r100%\n"], &["100%"]),
            (&[b"\n\n  \nx\n"], &["x"]),
            (&[b"  indented \t\n"], &["  indented"]),
            (&[b"caf\xff\n"], &["caf\u{fffd}"]),
            (&[b""], &[]),
        ];
        for (chunks, expected) in cases {
            assert_eq!(lines(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_character_split_between_two_reads_stays_whole() {
        assert_eq!(lines(&[b"caf\xc3", b"\xa9\n"]), ["caf\u{e9}"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LONGEST_LINE + 5];
        let found = lines(&[&long]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 5]);
    }
}
