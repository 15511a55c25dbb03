//! Which agents can take a task now, and which of them should.

use crate::schedule::problem::{Seat, Waiting};
use crate::task::Task;

/// Whether a task fits into the room that is left.
pub fn fits(task: &Task, seat: &Seat<'_>) -> bool {
    seat.slots > 0
        && seat.cpus.is_none_or(|free| task.requirements.cpus <= free)
        && seat.memory_mib.is_none_or(|free| task.requirements.memory_mib <= free)
        && !task.failed_on(seat.agent.id)
        && seat.agent.offer.could_meet(&task.requirements)
}

/// The seat that should take the task: one where it wasn't tried yet, then the one with the most free slots,
/// then the first.
pub fn best<'s, 'a>(waiting: &Waiting<'_>, seats: &'s mut [Seat<'a>]) -> Option<&'s mut Seat<'a>> {
    let open = seats.iter_mut().filter(|seat| fits(waiting.task, seat));
    open.min_by_key(|seat| (waiting.task.was_tried_on(seat.agent.id), u32::MAX - seat.slots, seat.agent.id))
}
