//! The receiving side. What a source sends is not trusted: names can't leave the target, links can't be made, and
//! special permission bits are dropped.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};

use super::{ScpError, line, readable};

/// How much is gathered before it is written to a file.
const CHUNK: usize = 1024 * 1024;

/// How deep directories may lie in each other.
const MAX_DEPTH: usize = 256;

/// Where things land.
#[derive(Clone, Debug)]
pub enum Target {
    /// The one file that comes is this one, whatever its name.
    File(PathBuf),
    /// Everything lands in this directory, which exists, under its own name.
    Directory(PathBuf),
}

/// Receives files and directories from a source.
#[derive(Debug)]
pub struct Sink<R, W> {
    input: BufReader<R>,
    replies: W,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Sink<R, W> {
    /// A sink over these streams.
    pub fn new(input: R, replies: W) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), replies }
    }

    /// Receives until the source ends; yields how many files came.
    ///
    /// # Errors
    /// When the source couldn't send something, the stream breaks, or something can't be written here.
    pub async fn receive(mut self, target: &Target) -> Result<u64, ScpError> {
        let mut files = 0;
        let mut complaints = Vec::new();
        let mut inside: Vec<(PathBuf, u32)> = Vec::new();
        self.answer().await?;
        while let Some(command) = line(&mut self.input).await? {
            match command.split_first() {
                Some((b'C', rest)) => {
                    let (mode, size, name) = header(rest)?;
                    let path = place(target, &inside, &name)?;
                    self.file(&path, size).await?;
                    if matches!(target, Target::Directory(_)) {
                        permit(&path, mode).await?;
                    }
                    files += 1;
                }
                Some((b'D', rest)) => {
                    let (mode, _, name) = header(rest)?;
                    if matches!(target, Target::File(_)) || inside.len() >= MAX_DEPTH {
                        let reason = format!("{} is a directory", readable(&name));
                        self.refuse(&reason).await;
                        return Err(ScpError::Refused(reason));
                    }
                    let path = place(target, &inside, &name)?;
                    fs::create_dir_all(&path).await.map_err(|source| local(&path, source))?;
                    inside.push((path, mode));
                    self.answer().await?;
                }
                Some((b'E', _)) => {
                    // Its permissions come last, so that a read-only directory can be filled.
                    if let Some((path, mode)) = inside.pop() {
                        permit(&path, mode | 0o700).await?;
                    }
                    self.answer().await?;
                }
                Some((b'T', _)) => self.answer().await?,
                Some((1, message)) => complaints.push(readable(message)),
                Some((2, message)) => return Err(ScpError::Refused(readable(message))),
                _ => return Err(ScpError::Garbage(readable(&command))),
            }
        }
        match complaints.is_empty() {
            true => Ok(files),
            false => Err(ScpError::Refused(complaints.join("; "))),
        }
    }

    async fn file(&mut self, path: &Path, size: u64) -> Result<(), ScpError> {
        let file = match fs::File::create(path).await {
            Ok(file) => file,
            Err(source) => {
                let error = local(path, source);
                self.refuse(&kiln_plan::fault::chain(&error)).await;
                return Err(error);
            }
        };
        self.answer().await?;
        let mut file = BufWriter::with_capacity(CHUNK, file);
        let mut left = size;
        while left > 0 {
            let some = self.input.fill_buf().await.map_err(ScpError::Stream)?;
            if some.is_empty() {
                return Err(ScpError::Stream(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(some.len());
            file.write_all(&some[..n]).await.map_err(|source| local(path, source))?;
            self.input.consume(n);
            left -= n as u64;
        }
        file.flush().await.map_err(|source| local(path, source))?;
        match self.input.read_u8().await.map_err(ScpError::Stream)? {
            0 => self.answer().await,
            _ => {
                let message = line(&mut self.input).await?.unwrap_or_default();
                Err(ScpError::Refused(readable(&message)))
            }
        }
    }

    async fn answer(&mut self) -> Result<(), ScpError> {
        self.replies.write_all(&[0]).await.map_err(ScpError::Stream)?;
        self.replies.flush().await.map_err(ScpError::Stream)
    }

    async fn refuse(&mut self, reason: &str) {
        let text = format!("\x02{}\n", reason.replace('\n', " "));
        // The refusal itself is the news; the stream may be gone already.
        let _ = self.replies.write_all(text.as_bytes()).await;
        let _ = self.replies.flush().await;
    }
}

/// `0644 5 name`
fn header(text: &[u8]) -> Result<(u32, u64, Vec<u8>), ScpError> {
    let garbage = || ScpError::Garbage(readable(text));
    let mut parts = text.splitn(3, |b| *b == b' ');
    let mut number = |radix| {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        u64::from_str_radix(text, radix).ok()
    };
    let mode = number(8).and_then(|m| u32::try_from(m).ok()).ok_or_else(garbage)?;
    let size = number(10).ok_or_else(garbage)?;
    let name = parts.next().ok_or_else(garbage)?;
    Ok((mode & 0o777, size, name.to_vec()))
}

fn place(target: &Target, inside: &[(PathBuf, u32)], name: &[u8]) -> Result<PathBuf, ScpError> {
    let directory = match target {
        Target::File(path) => return Ok(path.clone()),
        Target::Directory(path) => inside.last().map_or(path, |(inner, _)| inner),
    };
    let bad = name.is_empty() || name == b"." || name == b".." || name.iter().any(|b| matches!(b, b'/' | 0));
    if bad {
        return Err(ScpError::Name(readable(name)));
    }
    Ok(directory.join(std::ffi::OsStr::from_bytes(name)))
}

async fn permit(path: &Path, mode: u32) -> Result<(), ScpError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).await.map_err(|source| local(path, source))
}

fn local(path: &Path, source: std::io::Error) -> ScpError {
    ScpError::Local { path: path.to_owned(), source }
}
