//! Files in and out by the guest's file transfer subsystem, with many requests in flight, and several files at a
//! time in directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use kiln_component::CommunicatorError;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::fs::Metadata;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::{OpenFlags, StatusCode};
use tokio::fs::{self, File};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufWriter};

use super::path::split;
use super::{Inner, TransferError, session};
use crate::communicator::tree::Entry;

/// How many files of a directory are carried at a time.
const FILES: usize = 16;

/// How deep directories of a guest may lie in each other.
const MAX_DEPTH: usize = 256;

/// Generous, since a guest may stand still for a checkpoint.
const REQUEST_SECONDS: u64 = 180;

/// An open subsystem and what it is used for.
struct Remote {
    sftp: SftpSession,
    operation: String,
}

/// Writes `content` to `destination`.
pub(super) async fn upload(
    inner: &Arc<Inner>,
    operation: String,
    (destination, mode): (&str, u32),
    content: impl AsyncRead + Unpin + Send,
) -> Result<(), TransferError> {
    let remote = Remote::open(inner, operation).await?;
    remote.write(home(destination), mode, content).await?;
    Ok(())
}

/// Copies a tree to `destination`, by scp's rules: into it where it exists, as it where it doesn't.
pub(super) async fn upload_dir(
    inner: &Arc<Inner>,
    operation: String,
    destination: &str,
    (entries, contents_only): (&[Entry], bool),
) -> Result<(), TransferError> {
    let remote = Remote::open(inner, operation).await?;
    let root = home(destination).trim_end_matches('/');
    let root = if root.is_empty() { "/" } else { root };
    let exists = remote.sftp.metadata(root).await.is_ok_and(|m| m.is_dir());
    let renamed = !exists && !contents_only;
    if contents_only && !exists {
        remote.make_directories(root).await?;
    }
    let (directories, files) = plan(entries, root, renamed);
    for (path, mode) in &directories {
        remote.make_directory(path, *mode).await?;
    }
    let remote = &remote;
    let each = |(from, to, mode): (PathBuf, String, u32)| async move {
        let local = |e| remote.local(&from, e);
        let file = File::open(&from).await.map_err(local)?;
        remote.write(&to, mode, file).await
    };
    stream::iter(files).map(each).buffer_unordered(FILES).try_collect::<()>().await?;
    Ok(())
}

/// Directories to make, in order, and files to write.
type Plan = (Vec<(String, u32)>, Vec<(PathBuf, String, u32)>);

fn plan(entries: &[Entry], root: &str, renamed: bool) -> Plan {
    let mut inside = vec![root.to_owned()];
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for entry in entries {
        let within = inside.last().map_or(root, String::as_str);
        match entry {
            Entry::Leave => {
                inside.pop();
            }
            Entry::Enter { name, mode } => {
                let first = renamed && inside.len() == 1;
                let path = if first { root.to_owned() } else { join(within, &name.to_string_lossy()) };
                directories.push((path.clone(), *mode));
                inside.push(path);
            }
            Entry::File { path, name, mode, .. } => {
                files.push((path.clone(), join(within, &name.to_string_lossy()), *mode));
            }
        }
    }
    (directories, files)
}

/// Copies the guest's file to a local one.
pub(super) async fn download(
    inner: &Arc<Inner>,
    operation: String,
    source: &str,
    destination: &Path,
) -> Result<(), TransferError> {
    let remote = Remote::open(inner, operation).await?;
    let size = remote.sftp.metadata(home(source)).await.ok().and_then(|m| m.size);
    remote.read(home(source), destination, size).await?;
    Ok(())
}

/// Something to fetch.
struct Fetch {
    from: String,
    to: PathBuf,
    metadata: Metadata,
}

/// Copies the guest's directory, or what a glob in the last part of its path finds, into a local one.
pub(super) async fn download_dir(
    inner: &Arc<Inner>,
    operation: String,
    source: &str,
    destination: &Path,
) -> Result<(), TransferError> {
    let remote = Remote::open(inner, operation).await?;
    let source = home(source.trim_end_matches('/'));
    let (parent, name) = split(source);
    let mut found = Vec::new();
    if name.contains(['*', '?', '[']) {
        let pattern = glob::Pattern::new(name);
        let pattern = pattern.map_err(|e| remote.refused(e.to_string()))?;
        let options =
            glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
        let all = remote.list(parent).await?;
        found.extend(all.into_iter().filter(|(n, _)| pattern.matches_with(n, options)));
        if found.is_empty() {
            return Err(remote.refused(format!("nothing in the guest matches {source}")).into());
        }
    } else {
        let metadata = remote.sftp.metadata(source).await.map_err(|e| remote.failed(&e))?;
        found.push((name.to_owned(), metadata));
    }
    let mut files = Vec::new();
    for (name, metadata) in found {
        let fetch = Fetch { from: join(parent, &name), to: destination.join(&name), metadata };
        remote.plan_download(fetch, &mut files).await?;
    }
    let remote = &remote;
    let each = |Fetch { from, to, metadata }| async move {
        if metadata.permissions.is_some() && !metadata.is_regular() {
            return Err(remote.refused(format!("{from} is neither a file nor a directory")));
        }
        remote.read(&from, &to, metadata.size).await?;
        remote.permit(&to, metadata.permissions.map(|m| m & 0o777)).await
    };
    stream::iter(files).map(each).buffer_unordered(FILES).try_collect::<()>().await?;
    Ok(())
}

impl Remote {
    async fn open(inner: &Arc<Inner>, operation: String) -> Result<Self, TransferError> {
        let Some(stream) = session::subsystem(inner, "sftp").await? else {
            return Err(TransferError::Missing("sftp"));
        };
        let config = Config {
            request_timeout_secs: REQUEST_SECONDS,
            max_concurrent_writes: 64,
            max_concurrent_reads: 16,
            ..Config::default()
        };
        match SftpSession::new_with_config(stream, config).await {
            Ok(sftp) => Ok(Self { sftp, operation }),
            // The subsystem is announced, but its program isn't there: the channel ends without a word.
            Err(_) => Err(TransferError::Missing("sftp")),
        }
    }

    async fn write(
        &self,
        path: &str,
        mode: u32,
        content: impl AsyncRead + Unpin,
    ) -> Result<(), CommunicatorError> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let mut file = self.sftp.open_with_flags(path, flags).await.map_err(|e| self.failed_at(path, &e))?;
        let copied = copy(content, &mut file).await;
        copied.map_err(|e| self.refused(format!("{path}: {e}")))?;
        file.flush().await.map_err(|e| self.refused(format!("{path}: {e}")))?;
        let bits = Metadata { permissions: Some(mode & 0o7777), ..Metadata::empty() };
        file.set_metadata(bits).await.map_err(|e| self.failed_at(path, &e))?;
        file.close().await.map_err(|e| self.refused(format!("{path}: {e}")))
    }

    /// Fetches a file. `size` is what it is known to have: reading stops there, since asking for more of a
    /// small file costs more than the file; `None` or 0 when that isn't known (`/proc`).
    async fn read(&self, path: &str, to: &Path, size: Option<u64>) -> Result<(), CommunicatorError> {
        let mut file = self.sftp.open(path).await.map_err(|e| self.failed_at(path, &e))?;
        let mut left = size.filter(|s| *s > 0).unwrap_or(u64::MAX);
        let local = |e| self.local(to, e);
        let mut out = BufWriter::with_capacity(1024 * 1024, File::create(to).await.map_err(local)?);
        let mut buffer = vec![0; 128 * 1024];
        while left > 0 {
            let n = file.read(&mut buffer).await.map_err(|e| self.refused(format!("{path}: {e}")))?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).await.map_err(local)?;
            left = left.saturating_sub(n as u64);
        }
        out.flush().await.map_err(local)?;
        // Read to the end: nothing can be wrong with closing it.
        let _ = file.close().await;
        Ok(())
    }

    async fn make_directory(&self, path: &str, mode: u32) -> Result<(), CommunicatorError> {
        // It may exist already, which servers tell in many ways; what counts is that it is there.
        let made = self.sftp.create_dir(path).await;
        let bits = Metadata { permissions: Some(mode & 0o7777), ..Metadata::empty() };
        match (made, self.sftp.metadata(path).await) {
            (_, Ok(found)) if found.is_dir() => {
                self.sftp.set_metadata(path, bits).await.map_err(|e| self.failed_at(path, &e))
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(self.failed_at(path, &error)),
            (Ok(()), Ok(_)) => Err(self.refused(format!("{path} is not a directory"))),
        }
    }

    async fn make_directories(&self, path: &str) -> Result<(), CommunicatorError> {
        let ends = path.match_indices('/').map(|(i, _)| i).filter(|i| *i > 0).chain([path.len()]);
        for end in ends {
            // Those on the way may exist; the last one is looked at when it is written to.
            let _ = self.sftp.create_dir(&path[..end]).await;
        }
        self.sftp.metadata(path).await.map(|_| ()).map_err(|e| self.failed_at(path, &e))
    }

    async fn list(&self, path: &str) -> Result<Vec<(String, Metadata)>, CommunicatorError> {
        let listed = self.sftp.read_dir(path).await.map_err(|e| self.failed_at(path, &e))?;
        let mut entries: Vec<_> = listed.map(|e| (e.file_name(), e.metadata())).collect();
        entries.retain(|(name, _)| name != "." && name != "..");
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        match entries.iter().find(|(name, _)| name.is_empty() || name.contains(['/', '\0'])) {
            Some((bad, _)) => Err(self.refused(format!("the name {bad:?} cannot be used"))),
            None => Ok(entries),
        }
    }

    /// Makes the local directories, and notes the files to fetch.
    async fn plan_download(&self, start: Fetch, files: &mut Vec<Fetch>) -> Result<(), CommunicatorError> {
        let mut left = vec![(start, 0)];
        while let Some((Fetch { from, to, mut metadata }, depth)) = left.pop() {
            if metadata.is_symlink() {
                metadata = self.sftp.metadata(&from).await.map_err(|e| self.failed_at(&from, &e))?;
            }
            if !metadata.is_dir() {
                files.push(Fetch { from, to, metadata });
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(self.refused(format!("{from} lies too deep; a link may lead back into itself")));
            }
            fs::create_dir_all(&to).await.map_err(|e| self.local(&to, e))?;
            self.permit(&to, metadata.permissions.map(|m| (m & 0o777) | 0o700)).await?;
            let members = self.list(&from).await?;
            let inner = |(n, metadata): (String, Metadata)| Fetch {
                from: join(&from, &n),
                to: to.join(&n),
                metadata,
            };
            left.extend(members.into_iter().map(|m| (inner(m), depth + 1)));
        }
        Ok(())
    }

    async fn permit(&self, path: &Path, mode: Option<u32>) -> Result<(), CommunicatorError> {
        let Some(mode) = mode else { return Ok(()) };
        let bits = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, bits).await.map_err(|e| self.local(path, e))
    }

    fn local(&self, path: &Path, source: std::io::Error) -> CommunicatorError {
        CommunicatorError::Local { operation: format!("{}: {}", self.operation, path.display()), source }
    }

    fn refused(&self, reason: String) -> CommunicatorError {
        CommunicatorError::Refused { operation: self.operation.clone(), reason }
    }

    fn failed(&self, error: &SftpError) -> CommunicatorError {
        self.refused(said(error))
    }

    fn failed_at(&self, path: &str, error: &SftpError) -> CommunicatorError {
        self.refused(format!("{path}: {}", said(error)))
    }
}

fn said(error: &SftpError) -> String {
    let text = match error {
        SftpError::Status(s) if s.status_code == StatusCode::NoSuchFile => {
            "no such file or directory".to_owned()
        }
        SftpError::Status(s) if s.status_code == StatusCode::PermissionDenied => {
            "permission denied".to_owned()
        }
        SftpError::Status(s) if s.status_code == StatusCode::Failure => {
            // All that version 3 of the protocol can say.
            "the sftp server gives no reason; is a directory in the way, or the disk full?".to_owned()
        }
        SftpError::Status(s) if !s.error_message.is_empty() => s.error_message.clone(),
        other => other.to_string(),
    };
    text.chars().filter(|c| !c.is_control()).collect()
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    to: &mut russh_sftp::client::fs::File,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n]).await?;
    }
}

/// Paths are relative to the home directory already; only a shell would expand the tilde.
fn home(path: &str) -> &str {
    match path {
        "~" => ".",
        _ => path.strip_prefix("~/").unwrap_or(path),
    }
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}
