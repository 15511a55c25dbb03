//! The sending side.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::{ScpError, line, readable};

/// How much of a file is read and written at a time.
const CHUNK: usize = 128 * 1024;

/// What a file is announced with.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Its name, without directory.
    pub name: &'a [u8],
    /// Its permission bits.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// Sends files and directories to a sink.
#[derive(Debug)]
pub struct Source<R, W> {
    replies: BufReader<R>,
    out: W,
    /// Answers that the sink still owes.
    owed: usize,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Source<R, W> {
    /// Waits until the sink is ready.
    ///
    /// # Errors
    /// When it isn't, or no sink is there.
    pub async fn start(replies: R, out: W) -> Result<Self, ScpError> {
        let mut source = Self { replies: BufReader::new(replies), out, owed: 1 };
        source.settle().await?;
        Ok(source)
    }

    /// Begins a directory: what follows lands in it.
    ///
    /// # Errors
    /// When the sink refuses it or the stream breaks.
    pub async fn enter(&mut self, name: &[u8], mode: u32) -> Result<(), ScpError> {
        self.command('D', Header { name, mode, size: 0 }).await
    }

    /// Ends the directory that was begun last.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn leave(&mut self) -> Result<(), ScpError> {
        self.owed += 1;
        self.out.write_all(b"E\n").await.map_err(ScpError::Stream)
    }

    /// Sends a file: exactly `header.size` bytes of `content`.
    ///
    /// # Errors
    /// When the sink refuses it, the stream breaks, or the content ends early.
    pub async fn file(
        &mut self,
        header: Header<'_>,
        content: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), ScpError> {
        self.command('C', header).await?;
        self.owed += 1;
        let sent = self.content(header.size, content).await?;
        if sent == header.size {
            return self.out.write_all(&[0]).await.map_err(ScpError::Stream);
        }
        // The sink waits for so many bytes, and then for a word on whether they are right.
        tokio::io::copy(&mut tokio::io::repeat(0).take(header.size - sent), &mut self.out)
            .await
            .map_err(ScpError::Stream)?;
        self.out.write_all(b"\x01the file became shorter\n").await.map_err(ScpError::Stream)?;
        let path = readable(header.name).into();
        Err(ScpError::Local { path, source: io::Error::other("the file became shorter while it was read") })
    }

    /// Waits for all answers and ends the stream.
    ///
    /// # Errors
    /// What the sink had to say about the last things sent.
    pub async fn finish(mut self) -> Result<(), ScpError> {
        self.settle().await?;
        self.out.shutdown().await.map_err(ScpError::Stream)
    }

    /// Tells the sink that what it asked for can't be sent.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn refuse(mut self, reason: &str) -> Result<(), ScpError> {
        let text = format!("\x01{}\n", reason.replace('\n', " "));
        self.out.write_all(text.as_bytes()).await.map_err(ScpError::Stream)?;
        self.out.shutdown().await.map_err(ScpError::Stream)
    }

    async fn content(&mut self, size: u64, content: &mut (impl AsyncRead + Unpin)) -> Result<u64, ScpError> {
        let mut content = content.take(size);
        let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1)];
        let mut sent = 0;
        loop {
            let n = content.read(&mut buffer).await.unwrap_or(0);
            if n == 0 {
                return Ok(sent);
            }
            self.out.write_all(&buffer[..n]).await.map_err(ScpError::Stream)?;
            sent += n as u64;
        }
    }

    async fn command(&mut self, letter: char, header: Header<'_>) -> Result<(), ScpError> {
        let Header { name, mode, size } = header;
        if name.is_empty() || name.contains(&b'\n') || name.contains(&b'/') {
            return Err(ScpError::Name(readable(name)));
        }
        let mut text = format!("{letter}{:04o} {size} ", mode & 0o7777).into_bytes();
        text.extend_from_slice(name);
        text.push(b'\n');
        self.out.write_all(&text).await.map_err(ScpError::Stream)?;
        self.out.flush().await.map_err(ScpError::Stream)?;
        self.owed += 1;
        self.settle().await
    }

    async fn settle(&mut self) -> Result<(), ScpError> {
        while self.owed > 0 {
            match self.replies.read_u8().await.map_err(ScpError::Stream)? {
                0 => self.owed -= 1,
                1 | 2 => {
                    let message = line(&mut self.replies).await?.unwrap_or_default();
                    return Err(ScpError::Refused(readable(&message)));
                }
                other => {
                    let mut text = vec![other];
                    text.extend(line(&mut self.replies).await?.unwrap_or_default());
                    return Err(ScpError::Garbage(readable(&text)));
                }
            }
        }
        Ok(())
    }
}
