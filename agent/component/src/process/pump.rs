//! Running a child to its end while feeding it and reading both of its voices.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{Finished, Input, ProcessError, Program, Stream};
use crate::journal::Journal;

/// How long the outputs of a program that has ended may stay open before whoever holds them counts as left
/// behind. Its own last words are in the pipe by then.
const LEAK: Duration = Duration::from_millis(300);

/// Hands over bytes as they come; `take` returns `false` when it can't take more, which stops the program.
pub(super) async fn run(
    mut program: Program,
    journal: &Journal,
    cancel: &CancellationToken,
    mut take: impl FnMut(Stream, &[u8]) -> bool + Send,
) -> Result<Finished, ProcessError> {
    let name = program.name();
    let bytes = match std::mem::replace(&mut program.input, Input::Empty) {
        Input::Bytes(bytes) => {
            program.input = Input::Piped;
            Some(bytes)
        }
        other => {
            program.input = other;
            None
        }
    };
    let mut child = program.spawn(journal)?;
    let stop = cancel.child_token();
    let mut overflow = false;

    let stdin = child.take_stdin();
    let feed = async move {
        if let (Some(mut stdin), Some(bytes)) = (stdin, bytes) {
            // A program may end, or close its input, before it has read everything.
            let _unread = stdin.write_all(bytes.reveal()).await;
        }
    };
    let (stdout, stderr) = (child.take_stdout(), child.take_stderr());
    let read = async {
        both(stdout, stderr, |stream, bytes| {
            if !overflow && !take(stream, bytes) {
                overflow = true;
                stop.cancel();
            }
        })
        .await;
    };
    let talk = async { tokio::join!(feed, read) };
    tokio::pin!(talk);

    let end = child.wait_or_stop(&stop);
    tokio::pin!(end);

    let mut silent = false;
    let ended = loop {
        tokio::select! {
            biased;
            _ = &mut talk, if !silent => silent = true,
            result = &mut end => break result,
        }
    };
    let held = !silent && tokio::time::timeout(LEAK, &mut talk).await.is_err();
    match ended {
        Err(ProcessError::Cancelled { .. }) if !cancel.is_cancelled() => {
            Err(ProcessError::TooMuchOutput { program: name })
        }
        ended => ended.map(|finished| Finished { leaked: finished.leaked || held, ..finished }),
    }
}

async fn both(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(Stream, &[u8]),
) {
    let (mut stdout, mut stderr) = (stdout, stderr);
    let (mut out, mut err) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            count = read(&mut stdout, &mut out), if stdout.is_some() => match count {
                0 => stdout = None,
                count => take(Stream::Stdout, &out[..count]),
            },
            count = read(&mut stderr, &mut err), if stderr.is_some() => match count {
                0 => stderr = None,
                count => take(Stream::Stderr, &err[..count]),
            },
        }
    }
}

/// How many bytes came; 0 at the end. A pipe that can't be read any more has ended, too.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match from {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}
