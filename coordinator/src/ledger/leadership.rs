//! Who leads, told as soon as it is certain and taken back before it may be wrong.
//!
//! The Raft crate calls itself leader from its election on, and for as long as nobody says otherwise, even when it is
//! cut off from all others. Here a coordinator leads only once everything that was committed before is applied, and
//! only while a majority answers: [`STALE`] is shorter than what the others wait before they elect another, so at no
//! time do two of them serve.
//!
//! The crate also lets any voter that hears nothing stand for election, and a voter with a higher term unseats the leader
//! when it comes back from having been cut off. So nobody stands before a majority has said that they miss the leader,
//! too (a *canvass*).

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::{Raft, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::Leadership;
use super::peers::Peers;
use super::types::{Metrics, Types};

/// How often a leader sends a sign of life, in milliseconds. Also the hard limit for one append to a follower, hence
/// not shorter.
pub(super) const HEARTBEAT_MS: u64 = 250;

/// Between these a voter draws how long it waits, after a leader's term of [`ELECTION_MAX_MS`] has run out, before it
/// stands for election, in milliseconds.
pub(super) const ELECTION_MIN_MS: u64 = 600;

/// See [`ELECTION_MIN_MS`]; no voter gives its vote to another for as long as this after it heard the leader.
pub(super) const ELECTION_MAX_MS: u64 = 1_000;

/// A leader that has had no answer of a majority for this long leads no more.
const STALE: Duration = Duration::from_millis(ELECTION_MAX_MS + ELECTION_MIN_MS / 2);

/// How often a leader looks whether the others still answer, and a follower whether it misses its leader.
const LOOK: Duration = Duration::from_millis(100);

/// How often a lone voter looks, which depends on nobody.
const AT_LEAST: Duration = Duration::from_secs(5);

/// How long confirming a new leader may take, and a question to the others.
const ASK_LIMIT: Duration = Duration::from_millis(500);

/// When a leader was heard last, here.
#[derive(Debug, Default)]
pub(super) struct Hearing(Mutex<Option<Instant>>);

impl Hearing {
    /// A leader was heard.
    pub(super) fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether no leader was heard for as long as its term lasts.
    pub(super) fn misses(&self) -> bool {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_none_or(|heard| heard.elapsed() >= Duration::from_millis(ELECTION_MAX_MS))
    }
}

/// Tells of every change of leadership until the ledger stops.
pub(super) async fn watch(raft: Raft<Types>, told: watch::Sender<Leadership>) {
    let mut metrics = raft.metrics();
    let mut confirmed = match *told.borrow() {
        Leadership::Leads { term } => Some(term),
        Leadership::Nobody | Leadership::Follows { .. } => None,
    };
    let mut answered = Instant::now();
    loop {
        let (view, age) = {
            let metrics = metrics.borrow_and_update();
            (View::of(&metrics), metrics.millis_since_quorum_ack)
        };
        if let Some(age) = age {
            answered = answered.max(Instant::now() - Duration::from_millis(age));
        }
        let alone = matches!(view, View::Leads { alone: true, .. });
        let leadership = match view {
            View::Stopped => {
                told.send_replace(Leadership::Nobody);
                return;
            }
            View::Other(leadership) => {
                confirmed = None;
                leadership
            }
            View::Leads { alone: true, term } if confirmed == Some(term) => Leadership::Leads { term },
            View::Leads { term, .. } if confirmed == Some(term) && answered.elapsed() < STALE => {
                Leadership::Leads { term }
            }
            View::Leads { term, .. } => {
                told.send_if_modified(|told| replace(told, Leadership::Nobody));
                let asked = tokio::time::timeout(ASK_LIMIT, raft.ensure_linearizable()).await;
                if matches!(asked, Ok(Ok(_))) {
                    (confirmed, answered) = (Some(term), Instant::now());
                    continue;
                }
                // Asking changes the metrics, so their change alone would ask again at once.
                tokio::time::sleep(LOOK).await;
                Leadership::Nobody
            }
        };
        told.send_if_modified(|told| replace(told, leadership));
        // Whether it changed or time passed, the metrics say what is. When the ledger is gone they say so, too.
        let look = if alone { AT_LEAST } else { LOOK };
        drop(tokio::time::timeout(look, metrics.changed()).await);
    }
}

fn replace(told: &mut Leadership, by: Leadership) -> bool {
    let changed = *told != by;
    if changed {
        tracing::info!(leadership = ?by, "the leadership has changed");
        *told = by;
    }
    changed
}

/// What the crate says.
enum View {
    /// It has stopped.
    Stopped,
    /// It was elected, and is the only voter or not.
    Leads { term: u64, alone: bool },
    /// It wasn't.
    Other(Leadership),
}

impl View {
    fn of(metrics: &Metrics) -> Self {
        if metrics.running_state.is_err() || metrics.state == ServerState::Shutdown {
            return Self::Stopped;
        }
        let membership = metrics.membership_config.membership();
        if metrics.state == ServerState::Leader {
            let alone = membership.voter_ids().eq([metrics.id]);
            return Self::Leads { term: metrics.current_term, alone };
        }
        let known = metrics.current_leader.filter(|leader| *leader != metrics.id);
        let node = known.and_then(|leader| Some((leader, membership.get_node(&leader)?)));
        Self::Other(node.map_or(Leadership::Nobody, |(leader, node)| Leadership::Follows {
            leader,
            address: node.addr.clone(),
        }))
    }
}

/// Allows this voter to stand for election only while a majority misses the leader; runs until the ledger stops.
pub(super) async fn canvass(raft: Raft<Types>, peers: Peers, hearing: std::sync::Arc<Hearing>) {
    let mut metrics = raft.metrics();
    loop {
        let (state, others) = {
            let metrics = metrics.borrow_and_update();
            (metrics.state, others(&metrics))
        };
        match state {
            ServerState::Shutdown => return,
            // A lone voter waits for nobody, until it is told that it isn't alone any more.
            _ if others.is_empty() => {
                raft.runtime_config().elect(true);
                drop(tokio::time::timeout(AT_LEAST, metrics.changed()).await);
                continue;
            }
            ServerState::Leader => hearing.heard(),
            _ => raft.runtime_config().elect(hearing.misses() && majority_misses(&peers, &others).await),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The other voters.
fn others(metrics: &Metrics) -> Vec<(u64, String)> {
    let membership = metrics.membership_config.membership();
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    let others = membership.nodes().filter(|(id, _)| **id != metrics.id && voters.contains(id));
    others.map(|(id, node)| (*id, node.addr.clone())).collect()
}

async fn majority_misses(peers: &Peers, others: &[(u64, String)]) -> bool {
    let mut asked: FuturesUnordered<_> = others
        .iter()
        .map(|(id, address)| tokio::time::timeout(ASK_LIMIT, peers.canvass(*id, address)))
        .collect();
    // This voter misses it already.
    let mut missing = 1;
    while missing * 2 <= others.len() + 1 {
        match asked.next().await {
            Some(Ok(Ok(true))) => missing += 1,
            Some(_) => {}
            None => return false,
        }
    }
    true
}
