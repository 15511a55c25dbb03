//! The agent's side of the wire: what it holds goes up, what it should hold comes down.
//!
//! ```text
//!              start, stop, answer                    DesiredState
//!   Attempts ◄──────────────────── table of attempts ◄───────────── stream ◄──► coordinator
//!      │                                 ▲    │        CurrentState
//!      └── Voice: running, say, finish ──┘    └── events in batches ──►
//!   Questions ◄──────────────────────────────────── questions, answers ◄──►
//! ```
//!
//! The life of an attempt, as the table keeps it:
//!
//! ```text
//!   begin ──► Accepted ──► Running ──► Ending ── its events are taken ──► Ended ── no longer wanted ─┐
//!     found from before ─────►│          │          reported with every state until then            │
//!                └────────────┤          └─────────────────── no longer wanted ────────────────────┤
//!                             └── no longer wanted: stopped, says no more ──► (gone)               ▼
//!                                                       (gone) ◄── its events are durable, or refused
//! ```
//!
//! An agent that loses its coordinator goes on for [`HOLD_OUT`], since an install of ninety minutes must
//! survive a restart of the coordinator. Who returns within that time takes up its attempts again, unless they
//! were given to others; then it is told so by their absence from what it should hold.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kiln_plan::id::BuildId;
use kiln_plan::{BuildPlan, DataAnswer, DataQuery};
pub use kiln_proto::link::{Answer, AttemptKey, Hello};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

mod desk;
mod log;
mod outlog;
mod questions;
mod stream;
pub mod table;
mod voice;

#[cfg(test)]
mod tests;

pub use log::{Log, Room};
pub use voice::Voice;

use desk::Desk;
use stream::{Broken, Stream};

/// How long guests are kept running without a word from any coordinator.
pub const HOLD_OUT: Duration = Duration::from_secs(600);

/// The wait before the first attempt to reconnect; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait between attempts to reconnect: an agent is back well within the term of a lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The agent's hands: carries out what the link takes in. All methods return at once.
pub trait Attempts: Debug + Send + Sync + 'static {
    /// Begins an attempt, which speaks through `voice` from then on.
    fn start(&self, order: Order, voice: Voice);

    /// Ends an attempt early. It undoes what it did, and finishes (or drops) its voice.
    fn stop(&self, attempt: AttemptKey, why: Stop);

    /// Passes on an answer to a question that the attempt asked.
    fn answer(&self, attempt: AttemptKey, answer: Answer);

    /// The attempts that are there from before this link, under way or ended. Asked once, at the start.
    fn found(&self) -> Vec<AttemptKey> {
        Vec::new()
    }

    /// Goes on with one of those, which speaks through `voice` from then on.
    fn resume(&self, _attempt: AttemptKey, _voice: Voice) {}

    /// An attempt that ended will never be asked about again: its outcome was taken or isn't wanted, and its events
    /// are durable or refused.
    fn forget(&self, _attempt: AttemptKey) {}
}

/// Answers questions of evaluations: small tasks without lease.
#[async_trait]
pub trait Questions: Debug + Send + Sync + 'static {
    /// The answer; soon after `cancel` fires nobody wants it any more.
    async fn answer(&self, query: DataQuery, cancel: CancellationToken) -> DataAnswer;
}

/// A task to carry out.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The build it belongs to.
    pub build: BuildId,
    /// The attempt; everything outside that it causes carries its epoch.
    pub attempt: AttemptKey,
    /// The place of the attempt's first event.
    pub first_sequence: u64,
    /// What to do.
    pub plan: BuildPlan,
}

/// Why an attempt is ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled the build. The outcome is reported.
    Cancelled,
    /// The attempt isn't this agent's any more. Nobody hears of its outcome.
    Lost,
}

/// Why the link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The agent was drained, and said goodbye.
    Left,
    /// The coordinator doesn't understand this agent; trying again would not help.
    Rejected(kiln_proto::Problem),
}

/// Keeps the link until the agent is drained: cancelling `drain` takes nothing new, waits for what is under
/// way, and says goodbye. Reconnects for as long as it takes.
pub async fn run(
    channel: Channel,
    hello: Hello,
    (attempts, oracle): (Arc<dyn Attempts>, Arc<dyn Questions>),
    drain: CancellationToken,
) -> LinkEnd {
    let desk = Arc::new(Desk::new(attempts));
    desk.adopt();
    let mut pause = FIRST_PAUSE;
    let mut last_word = Instant::now();
    loop {
        let hands = (Arc::clone(&desk), Arc::clone(&oracle));
        let mut stream = Stream::new(channel.clone(), hello.clone(), hands, drain.clone());
        let broken = stream.keep().await;
        if let Some(heard) = stream.last_word() {
            (last_word, pause) = (heard, FIRST_PAUSE);
        }
        match broken {
            Broken::Left => return LinkEnd::Left,
            Broken::Rejected(problem) => return LinkEnd::Rejected(problem),
            Broken::Lost(problem) => {
                tracing::info!(%problem, ?pause, "the link to the coordinator broke; trying again");
            }
        }
        if last_word.elapsed() >= HOLD_OUT {
            desk.give_up();
        }
        let nobody_listens = last_word.elapsed() >= HOLD_OUT && desk.is_idle();
        if drain.is_cancelled() && (desk.is_empty() || nobody_listens) {
            return LinkEnd::Left;
        }
        // Agents that lost the same coordinator don't come again in step.
        let spread = stream.return_within().min(LONGEST_PAUSE);
        tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * chance()) + spread.mul_f64(chance())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().1) / f64::from(u16::MAX)
}
