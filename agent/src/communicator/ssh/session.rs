//! Running a command in the guest: one channel each, its streams pumped by a task of their own.
//!
//! ```text
//!   stdin ──► feeder ──► channel ──► guest          the feeder gives up when the channel has ended
//!   stdout ◄┐
//!   stderr ◄┴ pump ◄──── channel ◄── guest          ends: both outputs first, then the exit
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kiln_component::communicator::RemoteCommand;
use kiln_component::{CommunicatorError, Exit};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelStream, ChannelWriteHalf, Pty, Sig};
use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, oneshot};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::bytes::Bytes;
use tokio_util::io::StreamReader;
use tokio_util::sync::{CancellationToken, PollSender};

use super::connection::Connection;
use super::farewell::Farewell;
use super::{Inner, unreachable};

/// How many pieces of output or input may wait for their reader.
const PIECES: usize = 32;

/// The most that one piece of input holds, in bytes.
const PIECE: usize = 128 * 1024;

/// How long the guest may take to answer that a command is started.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How long is waited until a channel's end is on its way.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The terminal that Packer asks for: 80 columns, 40 lines, no echo.
const PTY_MODES: &[(Pty, u32)] = &[(Pty::ECHO, 0), (Pty::TTY_OP_ISPEED, 14400), (Pty::TTY_OP_OSPEED, 14400)];

/// The stream of a subsystem.
pub(super) type Subsystem = Farewell<ChannelStream<Msg>>;

type Pipe = mpsc::Sender<io::Result<Bytes>>;

/// Starts a command.
pub(super) async fn start(inner: &Arc<Inner>, command: &str) -> Result<RemoteCommand, CommunicatorError> {
    let (inner, command) = (inner.clone(), command.to_owned());
    finished("start a command", async move {
        let operation = "start a command";
        let (mut channel, connection) = inner.channel(operation).await?;
        let begun = async {
            if inner.target.config.session.pty {
                channel.request_pty(true, "xterm", 80, 40, 0, 0, PTY_MODES).await?;
                answered(&mut channel, "a terminal").await?;
            }
            if connection.agent_forwarded {
                channel.agent_forward(false).await?;
            }
            channel.exec(true, command).await?;
            answered(&mut channel, "the command").await
        };
        match in_time(begun).await {
            Ok(early) => Ok(pump(channel, early, connection)),
            Err(error) => {
                give_up(&channel, &error).await;
                Err(unreachable(operation, error))
            }
        }
    })
    .await
}

/// Carries a start to its end even when nobody waits for it any more: a channel that is forgotten half-way stays open,
/// and its command runs on. Started and then unheard, it is hung up.
async fn finished<T: Send + 'static>(
    operation: &str,
    start: impl Future<Output = Result<T, CommunicatorError>> + Send + 'static,
) -> Result<T, CommunicatorError> {
    tokio::spawn(start).await.unwrap_or_else(|error| Err(unreachable(operation, error)))
}

async fn in_time<T>(begun: impl Future<Output = Result<T, StartError>>) -> Result<T, StartError> {
    timeout(ANSWER_LIMIT, begun).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
}

/// Closes a channel that is of no use, unless the guest has. The connection may be dead: it isn't waited for long.
async fn give_up(channel: &Channel<Msg>, error: &StartError) {
    if !matches!(error, StartError::Lost) {
        let _ = timeout(CLOSE_LIMIT, channel.close()).await;
    }
}

/// Why a channel is of no use.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the guest refuses {0}")]
    Refused(&'static str),
    #[error("the connection was lost")]
    Lost,
    #[error("the guest did not answer within {} seconds", ANSWER_LIMIT.as_secs())]
    Silent(#[from] Elapsed),
    #[error(transparent)]
    Protocol(#[from] russh::Error),
}

/// Waits for the answer to a request. Messages that overtake it are given back.
async fn answered(channel: &mut Channel<Msg>, what: &'static str) -> Result<Vec<ChannelMsg>, StartError> {
    let mut early = Vec::new();
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(early),
            Some(ChannelMsg::Failure) => return Err(StartError::Refused(what)),
            Some(ChannelMsg::Close) | None => return Err(StartError::Lost),
            Some(other) => early.push(other),
        }
    }
}

/// Opens the subsystem of that name; `None` when the guest doesn't have it.
pub(super) async fn subsystem(
    inner: &Arc<Inner>,
    name: &str,
) -> Result<Option<Subsystem>, CommunicatorError> {
    let operation = format!("start {name}");
    let (inner, name) = (inner.clone(), name.to_owned());
    finished(&operation.clone(), async move {
        let (mut channel, _) = inner.channel(&operation).await?;
        let begun = async {
            channel.request_subsystem(true, &name).await?;
            answered(&mut channel, "the subsystem").await
        };
        match in_time(begun).await {
            Ok(_) => Ok(Some(Farewell::new(channel.into_stream()))),
            Err(error) => {
                give_up(&channel, &error).await;
                match error {
                    // dropbear accepts a subsystem whose program is missing, and ends it at once.
                    StartError::Refused(_) => Ok(None),
                    error => Err(unreachable(&operation, error)),
                }
            }
        }
    })
    .await
}

fn pump(channel: Channel<Msg>, early: Vec<ChannelMsg>, connection: Arc<Connection>) -> RemoteCommand {
    let (reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let (stdin, input) = mpsc::channel::<Bytes>(PIECES);
    let (out, stdout) = mpsc::channel(PIECES);
    let (err, stderr) = mpsc::channel(PIECES);
    let (exit, exited) = oneshot::channel();
    let ended = CancellationToken::new();
    tokio::spawn(feed(input, writer.clone(), ended.clone()));
    let outputs = Outputs { out: Some(out), err: Some(err), exit, last: None };
    tokio::spawn(async move {
        outputs.run(reader, early, &writer).await;
        ended.cancel();
        drop(connection);
    });
    RemoteCommand {
        stdin: Some(Box::new(Stdin(PollSender::new(stdin)))),
        stdout: Box::new(StreamReader::new(ReceiverStream::new(stdout))),
        stderr: Box::new(StreamReader::new(ReceiverStream::new(stderr))),
        exit: exited,
    }
}

async fn feed(
    mut input: mpsc::Receiver<Bytes>,
    channel: Arc<ChannelWriteHalf<Msg>>,
    ended: CancellationToken,
) {
    let work = async {
        while let Some(piece) = input.recv().await {
            if channel.data_bytes(piece).await.is_err() {
                return;
            }
        }
        // The channel may be closed by now.
        let _ = channel.eof().await;
    };
    // A write that waits for the guest's window would wait for ever on a dead connection.
    ended.run_until_cancelled(work).await;
}

/// The reading half of a command.
struct Outputs {
    out: Option<Pipe>,
    err: Option<Pipe>,
    exit: oneshot::Sender<Exit>,
    last: Option<Exit>,
}

impl Outputs {
    async fn run(
        mut self,
        mut reader: ChannelReadHalf,
        early: Vec<ChannelMsg>,
        writer: &ChannelWriteHalf<Msg>,
    ) {
        for message in early {
            self.take(message).await;
        }
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                () = abandoned(&mut self.exit, self.out.as_ref(), self.err.as_ref()) => {
                    // Nobody listens any more: hang up, as a terminal would.
                    let _ = writer.signal(Sig::HUP).await;
                    let _ = writer.close().await;
                    return;
                }
            };
            match message {
                Some(ChannelMsg::Close) | None => break,
                Some(message) => self.take(message).await,
            }
        }
        // Without this the far side keeps the channel half open.
        let _ = writer.close().await;
        let Self { out, err, exit, last } = self;
        drop((out, err));
        // Whoever doesn't ask for the exit has dropped the receiver.
        let _ = exit.send(last.unwrap_or(Exit::Disconnected));
    }

    async fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => give(&mut self.out, data).await,
            ChannelMsg::ExtendedData { data, ext: 1 } => give(&mut self.err, data).await,
            ChannelMsg::ExitStatus { exit_status } => {
                self.last = Some(Exit::Code(i32::try_from(exit_status).unwrap_or(i32::MAX)));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.last = Some(Exit::Code(128 + signal_number(&signal_name)));
            }
            _ => {}
        }
    }
}

/// Passes output on; a pipe whose reader is gone is closed, and the rest is lost, as on a closed pipe.
async fn give(pipe: &mut Option<Pipe>, data: Bytes) {
    if let Some(sender) = pipe
        && sender.send(Ok(data)).await.is_err()
    {
        *pipe = None;
    }
}

/// Returns when neither the exit nor any output has a reader left.
async fn abandoned(exit: &mut oneshot::Sender<Exit>, out: Option<&Pipe>, err: Option<&Pipe>) {
    exit.closed().await;
    for pipe in [out, err].into_iter().flatten() {
        pipe.closed().await;
    }
}

const fn signal_number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        // As Packer: 128 alone.
        Sig::Custom(_) => 0,
    }
}

/// A command's standard input; dropping it ends the input.
struct Stdin(PollSender<Bytes>);

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the command in the guest has ended")
}

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.0.poll_reserve(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Err(broken())),
            Poll::Ready(Ok(())) => {
                let piece = &buf[..buf.len().min(PIECE)];
                let sent = self.0.send_item(Bytes::copy_from_slice(piece));
                Poll::Ready(sent.map(|()| piece.len()).map_err(|_| broken()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}
