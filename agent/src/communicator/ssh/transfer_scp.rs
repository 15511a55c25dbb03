//! Files in and out by the guest's own `scp`, as Packer does it: one command per transfer, whatever its size.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kiln_component::communicator::{Input, Output, RemoteCommand};
use kiln_component::{CommunicatorError, Exit};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::path::{escape, split};
use super::{Inner, TransferError, session, unreachable};
use crate::communicator::scp::{Header, ScpError, Sink, Source, Target};
use crate::communicator::tree::{self, Entry};

/// The shell's word for a program that isn't there.
const NOT_FOUND: i32 = 127;

/// How long the guest's scp may take to end after its last word.
const END_LIMIT: Duration = Duration::from_secs(60);

/// How much of what it complains is kept.
const COMPLAINT: usize = 2000;

/// The guest's scp, running.
struct Remote {
    command: RemoteCommand,
    /// Ends with the transfer, or the guest's scp would be read from for ever.
    complaints: AbortOnDropHandle<String>,
    operation: String,
}

/// Writes `content` of `header.size` bytes to `destination`.
pub(super) async fn upload(
    inner: &Arc<Inner>,
    operation: String,
    (destination, mode, size): (&str, u32, u64),
    mut content: impl AsyncRead + Unpin + Send,
) -> Result<(), TransferError> {
    let (directory, name) = split(destination);
    // With -d a missing directory is an error; without it, it would become a file of that name.
    let command = format!("scp -d -t {}", escape(directory, false));
    let mut remote = Remote::start(inner, operation, &command).await?;
    let header = Header { name: name.as_bytes(), mode, size };
    let sent = async {
        let mut source = remote.source().await?;
        source.file(header, &mut content).await?;
        source.finish().await
    };
    let outcome = sent.await;
    remote.conclude(outcome).await
}

/// Copies a tree to `destination`.
pub(super) async fn upload_dir(
    inner: &Arc<Inner>,
    operation: String,
    destination: &str,
    (entries, contents_only): (&[Entry], bool),
) -> Result<(), TransferError> {
    let place = escape(destination, false);
    if !contents_only {
        return send_all(inner, operation, &format!("scp -r -t {place}"), entries).await;
    }
    let command = format!("scp -r -d -t {place}");
    match send_all(inner, operation.clone(), &command, entries).await {
        Err(TransferError::Failed(CommunicatorError::Refused { reason, .. }))
            if reason.contains("No such file") =>
        {
            make_directory(inner, &place).await?;
            send_all(inner, operation, &command, entries).await
        }
        other => other,
    }
}

/// Packer wants the directory to exist; making it is what everybody means.
async fn make_directory(inner: &Arc<Inner>, place: &str) -> Result<(), CommunicatorError> {
    let command = session::start(inner, &format!("mkdir -p {place}")).await?;
    // Whether it worked shows when scp is tried again.
    let _ = timeout(END_LIMIT, command.exit).await;
    Ok(())
}

async fn send_all(
    inner: &Arc<Inner>,
    operation: String,
    command: &str,
    entries: &[Entry],
) -> Result<(), TransferError> {
    let mut remote = Remote::start(inner, operation, command).await?;
    let sent = async {
        let mut source = remote.source().await?;
        for entry in entries {
            send(&mut source, entry).await?;
        }
        source.finish().await
    };
    let outcome = sent.await;
    remote.conclude(outcome).await
}

async fn send(source: &mut Source<Output, Input>, entry: &Entry) -> Result<(), ScpError> {
    match entry {
        Entry::Enter { name, mode } => source.enter(name.as_bytes(), *mode).await,
        Entry::Leave => source.leave().await,
        Entry::File { path, name, mode, size } => {
            let local = |source| ScpError::Local { path: path.clone(), source };
            let mut file = File::open(path).await.map_err(local)?;
            let header = Header { name: name.as_bytes(), mode: *mode, size: *size };
            source.file(header, &mut file).await
        }
    }
}

/// Copies the guest's file to a local one.
pub(super) async fn download(
    inner: &Arc<Inner>,
    operation: String,
    source: &str,
    destination: &Path,
) -> Result<(), TransferError> {
    let remote = Remote::start(inner, operation, &format!("scp -f {}", escape(source, true))).await?;
    remote.receive(&Target::File(destination.to_owned())).await
}

/// Copies the guest's directory, or what a glob finds, into a local one.
pub(super) async fn download_dir(
    inner: &Arc<Inner>,
    operation: String,
    source: &str,
    destination: &Path,
) -> Result<(), TransferError> {
    let remote = Remote::start(inner, operation, &format!("scp -r -f {}", escape(source, true))).await?;
    remote.receive(&Target::Directory(destination.to_owned())).await
}

/// What is needed of a local file before it is sent.
pub(super) async fn open(source: &Path) -> Result<(File, u32, u64), CommunicatorError> {
    let local = |e| CommunicatorError::Local { operation: format!("read {}", source.display()), source: e };
    let (mode, metadata) = tree::inspect(source).map_err(local)?;
    if !metadata.is_file() {
        return Err(local(std::io::Error::other("it is not a file")));
    }
    let mut file = File::open(source).await.map_err(local)?;
    file.set_max_buf_size(1024 * 1024);
    Ok((file, mode, metadata.len()))
}

impl Remote {
    async fn start(inner: &Arc<Inner>, operation: String, command: &str) -> Result<Self, TransferError> {
        let mut command = session::start(inner, command).await?;
        let stderr = std::mem::replace(&mut command.stderr, Box::new(tokio::io::empty()));
        Ok(Self { command, complaints: AbortOnDropHandle::new(tokio::spawn(complaints(stderr))), operation })
    }

    async fn source(&mut self) -> Result<Source<Output, Input>, ScpError> {
        let (stdin, stdout) = self.streams();
        Source::start(stdout, stdin).await
    }

    async fn receive(mut self, target: &Target) -> Result<(), TransferError> {
        let (stdin, stdout) = self.streams();
        let outcome = match Sink::new(stdout, stdin).receive(target).await {
            Ok(0) if matches!(target, Target::File(_)) => Err(ScpError::Refused("no file came".to_owned())),
            other => other.map(|_| ()),
        };
        self.conclude(outcome).await
    }

    fn streams(&mut self) -> (Input, Output) {
        let stdin = self.command.stdin.take().unwrap_or_else(|| Box::new(tokio::io::sink()));
        (stdin, std::mem::replace(&mut self.command.stdout, Box::new(tokio::io::empty())))
    }

    /// Judges a transfer by its protocol, its exit code and its complaints together: any of them may come first.
    async fn conclude(self, outcome: Result<(), ScpError>) -> Result<(), TransferError> {
        let Self { command, complaints, operation } = self;
        let exit = timeout(END_LIMIT, command.exit).await.ok().and_then(Result::ok);
        let exit = exit.unwrap_or(Exit::Disconnected);
        let said = timeout(END_LIMIT, complaints).await.ok().and_then(Result::ok).unwrap_or_default();
        let reason = |first: String| match said.is_empty() || first.contains(&said) {
            true => first,
            false => format!("{first}: {said}"),
        };
        let error = match (outcome, exit) {
            // Everything was acknowledged; some servers never tell how a command ended.
            (Ok(()), Exit::Code(0) | Exit::Disconnected) => return Ok(()),
            (Err(ScpError::Stream(_) | ScpError::Garbage(_)), Exit::Code(NOT_FOUND)) => {
                return Err(TransferError::Missing("scp"));
            }
            (Err(ScpError::Local { path, source }), _) => {
                let operation = format!("{operation}: {}", path.display());
                CommunicatorError::Local { operation, source }
            }
            (Err(ScpError::Stream(error)), Exit::Disconnected) => unreachable(&operation, error),
            (Ok(()) | Err(ScpError::Stream(_)), Exit::Code(code)) => {
                let reason = reason(format!("scp in the guest ended with code {code}"));
                CommunicatorError::Refused { operation, reason }
            }
            (Err(error), _) => CommunicatorError::Refused { operation, reason: reason(error.to_string()) },
        };
        Err(error.into())
    }
}

/// Reads what the guest's scp complains, to its end.
async fn complaints(mut stderr: Output) -> String {
    let mut text = Vec::new();
    // What came before an error is still worth telling.
    let _ = (&mut stderr).take(COMPLAINT as u64).read_to_end(&mut text).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&text);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
