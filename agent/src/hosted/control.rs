//! What the agent's daemon and an attempt's process say to each other: one JSON object per line, over a socket that only
//! this user can reach.
//!
//! Either side may be a version older or newer than the other, since attempts outlive updates. Words that aren't known
//! are passed over, and everything is said again on a new connection, so nothing depends on a word having arrived.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::OwnedReadHalf;

/// What the daemon wants of the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// It should stop, undo, and write its outcome.
    Stop {},
    /// The machine needs it to end: the same, but the outcome is the machine's failure, so that the task is tried elsewhere.
    Leave {},
    /// A person's answer to a question that it asked.
    Answer {
        /// The question's number.
        question: u64,
        /// The answer.
        text: String,
    },
}

/// What the attempt tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// It works: said on every connection once it does.
    Running {},
    /// It gets somewhere, though it has nothing to say.
    Moved {},
    /// There are events before this place.
    Events {
        /// The place of the next event.
        next: u64,
    },
}

/// The words that arrive on a connection.
pub(super) struct Words(Lines<BufReader<OwnedReadHalf>>);

impl Words {
    pub(super) fn of(half: OwnedReadHalf) -> Self {
        Self(BufReader::new(half).lines())
    }

    /// The next word that is understood; `None` at the end. May be dropped and called again.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        // A connection that breaks has ended.
        while let Ok(Some(line)) = self.0.next_line().await {
            match serde_json::from_str(&line) {
                Ok(word) => return Some(word),
                Err(error) => tracing::debug!(%error, "an unknown word was passed over"),
            }
        }
        None
    }
}

/// Says a word; `false` when nobody listens any more.
pub(super) async fn say<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), word: &T) -> bool {
    let mut line = serde_json::to_vec(word).expect("words have only string keys");
    line.push(b'\n');
    to.write_all(&line).await.is_ok()
}
