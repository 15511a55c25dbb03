//! The words between two attempts in a task's log, which tell readers why the task is tried again, and by which the
//! attempts can be told apart afterwards.

use kiln_plan::event::EventKind;

const OPENING: &str = "attempt ";

/// The note before the attempt that follows attempt `count`, which `from` made and which ended for `reason`.
pub(crate) fn of(count: usize, (from, to): (&str, &str), reason: &str) -> EventKind {
    let text = format!("{OPENING}{count} on {from} failed: {reason}; trying again on {to}");
    EventKind::Error { speaker: None, text }
}

/// Which attempt had ended when an event was noted, if the event is such a note. A guest may print the same words.
pub(crate) fn ended_attempt(kind: &EventKind) -> Option<usize> {
    let EventKind::Error { speaker: None, text } = kind else { return None };
    let (count, rest) = text.strip_prefix(OPENING)?.split_once(' ')?;
    (rest.starts_with("on ") && rest.contains("; trying again on ")).then_some(())?;
    count.parse().ok()
}
