//! The streams of agents are woken whose orders changed, and no others: with ten thousand of them nobody could afford
//! to look at every change.

use std::sync::atomic::Ordering;

use crate::Coordinator;
use crate::ledger::ProposeError;

pub(super) async fn run(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let told = coordinator.memory.woken.load(Ordering::Relaxed);
    let (agents, latest) = coordinator.ledger.read(|farm| {
        let latest = farm.counts().revisions;
        // A state that was replaced by an earlier one begins to count anew.
        let told = if told > latest { 0 } else { told };
        (farm.revised_after(told).collect::<Vec<_>>(), latest)
    });
    coordinator.memory.woken.store(latest, Ordering::Relaxed);
    Ok(coordinator.roster.wake(&agents))
}
