//! An image is published at most once per task, by the holder of the task's lease at that moment.

use std::collections::BTreeMap;

use kiln_model::{Action, ImageAction};
use kiln_plan::id::{ImageId, TaskId};

use super::Step;

/// What each task published.
#[derive(Debug, Default)]
pub struct Law {
    published: BTreeMap<TaskId, ImageId>,
}

impl Law {
    pub(super) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let Action::Image(ImageAction::Publish { by, image, .. }) = step.action else { return Ok(()) };
        if step.before.images().publications() == step.after.images().publications() {
            return Ok(());
        }
        if let Some(earlier) = self.published.insert(by.task, image.id) {
            return Err(format!("task {} published {earlier} and then {}", by.task, image.id));
        }
        let lease = step.before.tasks().get(&by.task).and_then(|task| task.lease());
        let holds = lease.is_some_and(|l| (l.agent, l.attempt, l.epoch) == (by.agent, by.attempt, by.epoch));
        if holds { Ok(()) } else { Err(format!("task {} published without its lease", by.task)) }
    }
}
