//! Group commit: while one entry is on its way to the disk, the commands that arrive gather for the next, so
//! that a hundred tasks cost a few disk writes.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kiln_model::{Action, Command, Outcome};
use openraft::Raft;
use openraft::error::Fatal;
use openraft::raft::ClientWriteResult;
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

/// How many entries may be under way at once: while the followers write one, the leader writes the next.
const UNDER_WAY: usize = 4;

/// Commits what arrives until the ledger is dropped or stopped.
pub(super) async fn run(raft: Raft<Types>, clock: Clock, mut waiting: mpsc::Receiver<Proposal>) {
    let mut arrived = Vec::new();
    let mut queue: VecDeque<Proposal> = VecDeque::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        while !queue.is_empty() && under_way.len() < UNDER_WAY {
            let (batch, replies) = next_entry(&mut queue, &clock);
            if replies.is_empty() {
                continue;
            }
            // In order: the crate appends what it is given in the order in which it is given.
            match raft.client_write_ff(batch).await {
                Ok(written) => under_way.push(async move { (written.await, replies) }),
                Err(error) => return stopped(&error, replies),
            }
        }
        tokio::select! {
            biased;
            Some((written, replies)) = under_way.next() => match written {
                Ok(written) => answer(written, replies),
                Err(_) => return stopped(&Fatal::Stopped, replies),
            },
            count = waiting.recv_many(&mut arrived, ENTRY_COMMANDS), if queue.is_empty() => {
                if count == 0 {
                    return;
                }
                queue.extend(arrived.drain(..));
            }
        }
    }
}

type Reply = oneshot::Sender<Result<Outcome, ProposeError>>;

/// Takes as many proposals as fit into an entry, and answers those that fit into none.
fn next_entry(queue: &mut VecDeque<Proposal>, clock: &Clock) -> (Batch, Vec<Reply>) {
    let mut commands = Vec::new();
    let mut replies = Vec::new();
    let mut total = 0;
    while let Some(Proposal { action, reply }) = queue.pop_front() {
        if reply.is_closed() {
            // Whoever asked was told that it may not be done; so better it isn't.
            continue;
        }
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
        commands.push(command);
        replies.push(reply);
    }
    (Batch { commands: Arc::new(commands) }, replies)
}

/// Tells everyone whose command was in the entry what became of it.
fn answer(written: ClientWriteResult<Types>, replies: Vec<Reply>) {
    match written {
        Ok(response) => {
            for (reply, outcome) in replies.into_iter().zip(response.data.outcomes) {
                let _ = reply.send(Ok(outcome));
            }
        }
        Err(error) => {
            tracing::debug!(%error, "an entry was not taken");
            tell(&ProposeError::NotLeader, replies);
        }
    }
}

fn stopped(error: &Fatal<u64>, replies: Vec<Reply>) {
    tracing::error!(%error, "the ledger has stopped");
    tell(&ProposeError::Stopped, replies);
}

fn tell(error: &ProposeError, replies: Vec<Reply>) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
