//! No task is lost: a build whose submission was acknowledged is known, with all its tasks, until it ended.

use std::collections::BTreeMap;

use kiln_model::{Action, Outcome};
use kiln_plan::id::{BuildId, TaskId};

use super::Step;

/// The builds that somebody was promised.
#[derive(Debug, Default)]
pub struct Law {
    asked: BTreeMap<BuildId, Vec<TaskId>>,
    /// Builds whose submitter was told that they were taken.
    pub promised: BTreeMap<BuildId, Vec<TaskId>>,
}

impl Law {
    pub(super) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        if let Action::Submit { build, tasks, .. } = step.action {
            self.asked.insert(*build, tasks.iter().map(|task| task.id).collect());
            if *step.outcome == Outcome::Done {
                self.promise(*build);
            }
        }
        for (build, tasks) in &self.promised {
            let Some(known) = step.after.builds().get(build) else {
                return Err(format!("build {build} was promised and is not known"));
            };
            if known.tasks != *tasks {
                return Err(format!("build {build} has other tasks than were submitted"));
            }
            if let Some(lost) = tasks.iter().find(|task| !step.after.tasks().contains_key(task)) {
                return Err(format!("task {lost} of build {build} is gone"));
            }
        }
        Ok(())
    }

    /// Somebody was told that the build is taken.
    pub fn promise(&mut self, build: BuildId) {
        if let Some(tasks) = self.asked.get(&build) {
            self.promised.insert(build, tasks.clone());
        }
    }
}
