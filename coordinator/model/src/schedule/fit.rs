//! Which agents can take a task, and how well they suit it.

use crate::agent::{Agent, Room};
use crate::queue::Class;

/// How well an agent suits a class; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suit {
    /// Nothing better can be wished for.
    Well,
    /// It lacks what the class prefers.
    Less,
    /// The task was tried there before.
    Tried,
}

/// Whether an agent takes tasks and could take this one if it were idle.
pub fn could(class: &Class, agent: &Agent) -> bool {
    let failed = class.tried.contains(&(agent.id, true));
    agent.is_ready() && !failed && agent.offer.could_meet(&class.need)
}

/// Whether a task of the class fits into the room that an agent has left.
pub fn fits(class: &Class, agent: &Agent, free: &Room) -> bool {
    free.has(&Room::taken(&class.need)) && could(class, agent)
}

/// How well an agent suits a class that fits there.
pub fn suit(class: &Class, agent: &Agent) -> Suit {
    if class.tried.iter().any(|(tried, _)| *tried == agent.id) {
        Suit::Tried
    } else if agent.offer.suits(&class.need) {
        Suit::Well
    } else {
        Suit::Less
    }
}

/// The levels at which agents are looked for, best first.
pub fn levels(class: &Class) -> &'static [Suit] {
    let prefers = matches!(class.need.acceleration, kiln_plan::Acceleration::Preferred(_));
    match (prefers, class.tried.is_empty()) {
        (false, true) => &[Suit::Well],
        (false, false) => &[Suit::Well, Suit::Tried],
        (true, true) => &[Suit::Well, Suit::Less],
        (true, false) => &[Suit::Well, Suit::Less, Suit::Tried],
    }
}
