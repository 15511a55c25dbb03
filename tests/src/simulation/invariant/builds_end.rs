//! Once all is healed, every build ends.

use kiln_model::{FarmState, Timestamp, explain};

/// Checks that nothing is left to do.
///
/// # Errors
/// What is, and why.
pub fn check(state: &FarmState) -> Result<(), String> {
    let left = state.builds().values().find(|build| !build.is_ended());
    let Some(build) = left else { return Ok(()) };
    let open =
        build.tasks.iter().find(|task| state.tasks().get(task).is_some_and(|task| !task.is_finished()));
    let why = open.and_then(|task| explain(state, *task, Timestamp(state.now().0)));
    Err(format!("builds end: build {} has not: {}", build.id, why.map(|w| w.to_string()).unwrap_or_default()))
}
