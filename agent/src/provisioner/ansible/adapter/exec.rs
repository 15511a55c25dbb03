//! A command of the client, run in the guest: streams and code go through as they are.

use kiln_component::communicator::{Input, RemoteCommand};
use kiln_component::{Communicator, Exit};
use kiln_plan::fault::chain;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncWriteExt, copy};

/// What `ssh` itself says when it can't reach a host; Ansible takes it for that.
const UNREACHABLE: u32 = 255;

/// Runs `command` in the guest for the client behind `channel`, to the end of both.
pub(super) async fn forward(communicator: &dyn Communicator, channel: Channel<Msg>, command: &str) {
    let (reader, writer) = channel.split();
    let started = communicator.start(command).await;
    let code = match started {
        Ok(remote) => exchange(remote, reader, &writer).await,
        Err(error) => {
            complain(&writer, &chain(&error)).await;
            Some(UNREACHABLE)
        }
    };
    finish(&writer, code).await;
}

/// Says something on the client's standard error.
pub(super) async fn complain(writer: &ChannelWriteHalf<Msg>, text: &str) {
    // The client may be gone.
    let _ = writer.extended_data_bytes(1, format!("{text}\n").into_bytes()).await;
}

/// Ends a channel. Without a code the client takes it for a lost connection, which it is.
pub(super) async fn finish(writer: &ChannelWriteHalf<Msg>, code: Option<u32>) {
    // The client may be gone.
    let _ = writer.eof().await;
    if let Some(code) = code {
        let _ = writer.exit_status(code).await;
    }
    let _ = writer.close().await;
}

/// Pumps all streams; yields the code, unless the guest or the client went away.
async fn exchange(
    mut remote: RemoteCommand,
    mut reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Option<u32> {
    let (mut out, mut err) = (writer.make_writer(), writer.make_writer_ext(Some(1)));
    let stdin = remote.stdin.take();
    let outputs = async {
        let (_, _) = tokio::join!(copy(&mut remote.stdout, &mut out), copy(&mut remote.stderr, &mut err));
        remote.exit.await.unwrap_or(Exit::Disconnected)
    };
    tokio::select! {
        exit = outputs => match exit {
            Exit::Code(code) => Some(u32::try_from(code).unwrap_or(UNREACHABLE)),
            Exit::Disconnected => None,
        },
        // The client hung up: so do we, by dropping the command.
        () = feed(&mut reader, stdin) => None,
    }
}

/// Passes the client's input on; returns when the client has closed the channel.
async fn feed(reader: &mut ChannelReadHalf, mut stdin: Option<Input>) {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Data { data }) => {
                let written = match &mut stdin {
                    Some(stdin) => stdin.write_all(&data).await,
                    None => Ok(()),
                };
                if written.is_err() {
                    // The command has ended or closed its input; the rest is lost, as on a closed pipe.
                    stdin = None;
                }
            }
            Some(ChannelMsg::Eof) => {
                if let Some(mut stdin) = stdin.take() {
                    // The command may have ended.
                    let _ = stdin.shutdown().await;
                }
            }
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}
