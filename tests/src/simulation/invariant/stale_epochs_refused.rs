//! Stale epochs are refused: whatever changes a task by an agent's word carries the task's present number.

use kiln_model::Action;
use kiln_model::outcome::Outcome;

use super::Step;

pub(super) fn check(step: &Step<'_>) -> Result<(), String> {
    let Action::Report { task, agent, attempt, epoch, .. } = step.action else { return Ok(()) };
    if !matches!(step.outcome, Outcome::Reported { .. }) {
        return Ok(());
    }
    let Some(before) = step.before.tasks().get(task) else {
        return Err(format!("a report for {task} was taken, which isn't known"));
    };
    let lease = before.lease().map(|lease| (lease.agent, lease.attempt, lease.epoch));
    let expired = before.attempts.last().map(|ended| (ended.agent, ended.attempt, ended.epoch));
    let claim = Some((*agent, *attempt, *epoch));
    if before.epoch != *epoch || (lease.is_some() && lease != claim) || (lease.is_none() && expired != claim)
    {
        return Err(format!("a report of epoch {epoch} for task {task} was taken at epoch {}", before.epoch));
    }
    Ok(())
}
