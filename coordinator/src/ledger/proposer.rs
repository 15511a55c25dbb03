//! Group commit: while one entry is on its way to the disk, the commands that arrive gather for the next, so
//! that a hundred tasks cost a few disk writes.

use std::collections::VecDeque;

use kiln_model::{Action, Command, Outcome};
use openraft::Raft;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::ProposeError;
use super::codec;
use super::types::{Batch, Types};
use crate::clock::Clock;

/// The bytes after which an entry is full. Followers must be able to take several within a heartbeat.
pub(super) const ENTRY_BYTES: usize = 64 << 10;

/// The most bytes of a single command, which then has an entry of its own: a build of some three thousand
/// tasks.
pub(super) const COMMAND_BYTES: usize = 1 << 20;

/// The most commands of an entry.
const ENTRY_COMMANDS: usize = 512;

/// A command that waits for its entry.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) action: Action,
    pub(super) reply: oneshot::Sender<Result<Outcome, ProposeError>>,
}

/// Commits what arrives until the ledger is dropped or stopped.
pub(super) async fn run(raft: Raft<Types>, clock: Clock, mut waiting: mpsc::Receiver<Proposal>) {
    let mut arrived = Vec::new();
    while waiting.recv_many(&mut arrived, ENTRY_COMMANDS).await > 0 {
        let mut queue: VecDeque<Proposal> = arrived.drain(..).collect();
        while !queue.is_empty() {
            let (batch, replies) = next_entry(&mut queue, clock);
            if replies.is_empty() {
                continue;
            }
            let result = raft.client_write(batch).await;
            if matches!(answer(result, replies), Err(ProposeError::Stopped)) {
                return;
            }
        }
    }
}

type Reply = oneshot::Sender<Result<Outcome, ProposeError>>;

/// Takes as many proposals as fit into an entry, and answers those that fit into none.
fn next_entry(queue: &mut VecDeque<Proposal>, clock: Clock) -> (Batch, Vec<Reply>) {
    let mut batch = Batch::default();
    let mut replies = Vec::new();
    let mut total = 0;
    while let Some(Proposal { action, reply }) = queue.pop_front() {
        let command = Command { at: clock.now(), action };
        let bytes = codec::size(&command);
        if bytes > COMMAND_BYTES {
            let too_large = ProposeError::TooLarge { bytes, limit: COMMAND_BYTES };
            // Whoever asked may have gone; then nobody minds.
            let _ = reply.send(Err(too_large));
            continue;
        }
        if total > 0 && total + bytes > ENTRY_BYTES {
            queue.push_front(Proposal { action: command.action, reply });
            break;
        }
        total += bytes;
        batch.commands.push(command);
        replies.push(reply);
    }
    (batch, replies)
}

type Written = Result<
    openraft::raft::ClientWriteResponse<Types>,
    RaftError<u64, ClientWriteError<u64, openraft::BasicNode>>,
>;

/// Tells everyone whose command was in the entry what became of it.
fn answer(written: Written, replies: Vec<Reply>) -> Result<(), ProposeError> {
    let error = match written {
        Ok(response) => {
            for (reply, outcome) in replies.into_iter().zip(response.data.outcomes) {
                let _ = reply.send(Ok(outcome));
            }
            return Ok(());
        }
        Err(RaftError::APIError(error)) => {
            tracing::debug!(%error, "an entry was not taken");
            ProposeError::NotLeader
        }
        Err(RaftError::Fatal(error)) => {
            tracing::error!(%error, "the ledger has stopped");
            ProposeError::Stopped
        }
    };
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
    Err(error)
}
