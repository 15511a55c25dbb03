//! Who leads, told as soon as it is certain and taken back before it may be wrong.
//!
//! The Raft crate calls itself leader from its election on, and for as long as nobody says otherwise, even when it is
//! cut off from all others. Here a coordinator leads only once everything that was committed before is applied, and
//! only while a majority answers: [`STALE`] is shorter than what the others wait before they elect another, so at no
//! time do two of them serve.
//!
//! The crate would also let any voter that hears nothing stand for election, and a voter with a higher term unseats the
//! leader when it comes back from having been cut off. So its own timers are off, and a voter stands only after a
//! majority has said that it would have their votes (a *canvass*): they miss the leader, too, and know no more.
//!
//! ```text
//!   last word of the leader ──── TERM ────► missed ── canvass ──► stands ──► leads ── confirmed ──► serves
//!          │                                   ▲        each 100 to 400 ms
//!          └── STALE ──► the old leader, cut off, serves no more
//! ```

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::{Raft, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::Leadership;
use super::peers::Peers;
use super::types::{Metrics, Types};

/// How often a leader sends a sign of life, in milliseconds; the crate looks only after one and a half of it. Also the hard
/// limit for one append to a follower, hence not shorter.
pub(super) const HEARTBEAT_MS: u64 = 400;

/// How long a leader's word holds, in milliseconds: so long after it heard the leader, no voter votes for another. Three
/// signs of life may come late before the leader is replaced.
pub(super) const TERM_MS: u64 = 1_800;

/// A leader that has had no answer of a majority for this long leads no more.
const STALE: Duration = Duration::from_millis(TERM_MS - 300);

/// A leader that has had no answer of a majority for this long asks for one.
const QUIET: Duration = Duration::from_millis(TERM_MS / 2);

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

    /// Somebody was given this voter's vote, and has a moment to make use of it.
    pub(super) fn promised(&self) {
        let enough = Instant::now().checked_sub(Duration::from_millis(TERM_MS) - ASK_LIMIT);
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = enough.max(*heard);
    }

    /// Whether no leader was heard for as long as its term lasts.
    pub(super) fn misses(&self) -> bool {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_none_or(|heard| heard.elapsed() >= Duration::from_millis(TERM_MS))
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
        // An age is right when it is told, and no longer.
        let is_new = metrics.has_changed().unwrap_or(true);
        let (view, age) = {
            let metrics = metrics.borrow_and_update();
            (View::of(&metrics), metrics.millis_since_quorum_ack)
        };
        if let Some(age) = age.filter(|_| is_new) {
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
            View::Leads { alone: true, term } if confirmed == Some(term) => {
                answered = Instant::now();
                Leadership::Leads { term }
            }
            View::Leads { term, .. } if confirmed == Some(term) && answered.elapsed() < STALE => {
                if answered.elapsed() >= QUIET {
                    answered = ask(&raft, answered).await;
                    continue;
                }
                Leadership::Leads { term }
            }
            View::Leads { term, .. } => {
                confirmed = None;
                told.send_if_modified(|told| replace(told, Leadership::Nobody));
                let asked = Instant::now();
                if knows_everything(&raft).await {
                    (confirmed, answered) = (Some(term), asked);
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

/// Whether a majority agrees that this coordinator leads, and everything that may have been committed before is applied. The
/// crate vouches only for what comes before the first entry of the term, but one that restarts within its term leads
/// on, and then there are entries of that term that it has not applied.
async fn knows_everything(raft: &Raft<Types>) -> bool {
    let last = raft.metrics().borrow().last_log_index;
    let whole = async {
        raft.ensure_linearizable().await.is_ok()
            && raft.wait(Some(ASK_LIMIT)).applied_index_at_least(last, "to lead").await.is_ok()
    };
    tokio::time::timeout(ASK_LIMIT, whole).await.unwrap_or(false)
}

/// Asks the others, before it is too late, whether this coordinator still leads. Signs of life queue behind entries,
/// and after a change of members the crate has to hear of everybody anew. Returns when a majority has answered last.
async fn ask(raft: &Raft<Types>, answered: Instant) -> Instant {
    let asked = Instant::now();
    let left = STALE.saturating_sub(answered.elapsed()).min(ASK_LIMIT);
    match tokio::time::timeout(left, raft.get_read_log_id()).await {
        Ok(Ok(_)) => return asked,
        // They can't be reached, which shows at once.
        Ok(Err(_)) => tokio::time::sleep(LOOK / 2).await,
        Err(_) => {}
    }
    answered
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

/// Stands for election when a majority would vote for this voter; runs until the ledger stops.
pub(super) async fn stand(raft: Raft<Types>, peers: Peers, hearing: Arc<Hearing>) {
    let mut metrics = raft.metrics();
    loop {
        let (view, others) = {
            let metrics = metrics.borrow_and_update();
            (View::of(&metrics), others(&metrics))
        };
        match view {
            View::Stopped => return,
            // A lone voter waits for nobody, until it is told that it isn't alone any more.
            _ if others.is_empty() => {
                raft.runtime_config().elect(true);
                drop(tokio::time::timeout(AT_LEAST, metrics.changed()).await);
                continue;
            }
            View::Leads { .. } => hearing.heard(),
            View::Other(_) => {
                raft.runtime_config().elect(false);
                if hearing.misses() && would_win(&raft, &peers, &others).await {
                    tracing::info!("the leader is missed; standing for election");
                    if raft.trigger().elect().await.is_err() {
                        return;
                    }
                    // Two that stand at the same time take the votes from each other: next time they won't.
                    tokio::time::sleep(LOOK.mul_f64(1.0 + 2.0 * chance())).await;
                }
            }
        }
        tokio::time::sleep(LOOK.mul_f64(0.5 + 0.5 * chance())).await;
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}

/// The other voters; none when this one doesn't vote.
fn others(metrics: &Metrics) -> Vec<(u64, String)> {
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let others = membership.nodes().filter(|(id, _)| **id != metrics.id && voters.contains(id));
    if !voters.contains(&metrics.id) {
        return Vec::new();
    }
    others.map(|(id, node)| (*id, node.addr.clone())).collect()
}

/// Whether a majority would vote for this voter.
async fn would_win(raft: &Raft<Types>, peers: &Peers, others: &[(u64, String)]) -> bool {
    let last = raft.data_metrics().borrow().last_log;
    let ask = |(id, address): &(u64, String)| {
        let (peers, id, address) = (peers.clone(), *id, address.clone());
        tokio::time::timeout(ASK_LIMIT, async move { peers.canvass(id, &address, last).await })
    };
    let mut asked: FuturesUnordered<_> = others.iter().map(ask).collect();
    // It votes for itself.
    let mut votes = 1;
    while votes * 2 <= others.len() + 1 {
        match asked.next().await {
            Some(Ok(Ok(true))) => votes += 1,
            Some(_) => {}
            None => return false,
        }
    }
    true
}
