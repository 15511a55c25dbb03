//! Who takes which task: a pure function from a stated problem to assignments.
//!
//! Wanted, in this order:
//! 1. Nothing is given to an agent that doesn't offer what the task needs, or beyond its room.
//! 2. No build has more tasks held than its limit.
//! 3. Nothing that could be placed is left waiting.
//! 4. Builds share the room: the one with the fewest tasks held goes first, the older one at a tie. Within a
//!    build the order of the template holds, past tasks that fit nowhere now.
//! 5. A task that was tried before goes to an agent that hasn't tried it, if one has room; otherwise to the
//!    agent with the most free slots.

use std::collections::BTreeSet;

use kiln_plan::id::{AgentId, TaskId};

pub mod fit;
pub mod problem;

pub use problem::{Problem, Seat, Share, Waiting};

use crate::state::FarmState;

/// A task for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Who takes it.
    pub agent: AgentId,
}

/// What should be assigned now, at most `most` of it.
pub fn assignments(state: &FarmState, most: usize) -> Vec<Assignment> {
    solve(Problem::of(state), most)
}

/// Places as many waiting tasks as there is room for, in the order of fairness, at most `most`.
pub fn solve(mut problem: Problem<'_>, most: usize) -> Vec<Assignment> {
    let mut placed = Vec::new();
    let mut turns: BTreeSet<(u32, u64)> =
        problem.shares.iter().filter(|(_, s)| s.has_room()).map(|(order, s)| (s.active, *order)).collect();
    while placed.len() < most
        && problem.seats.iter().any(|seat| seat.slots > 0)
        && let Some((active, order)) = turns.pop_first()
    {
        let Some(share) = problem.shares.get_mut(&order) else { continue };
        let Some(assignment) = place_next(share, &mut problem.seats) else { continue };
        placed.push(assignment);
        share.active = active + 1;
        if share.has_room() {
            turns.insert((share.active, order));
        }
    }
    placed
}

/// Places the first waiting task of a build that fits somewhere. Those that fit nowhere are passed over for
/// good: room only shrinks while a problem is being solved.
fn place_next(share: &mut Share<'_>, seats: &mut [Seat<'_>]) -> Option<Assignment> {
    while let Some(waiting) = share.waiting.pop_front() {
        if let Some(seat) = fit::best(&waiting, seats) {
            seat.take(waiting.task);
            return Some(Assignment { task: waiting.task.id, agent: seat.agent.id });
        }
    }
    None
}
