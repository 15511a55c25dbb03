//! People's answers to questions of tasks, on their way to the agents. In memory: whoever asked asks again
//! when the coordinator was replaced meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kiln_plan::id::{Epoch, TaskId};
use kiln_proto::link::Answer;
use tokio::sync::watch;

/// The answers given to attempts that are under way.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    given: Mutex<BTreeMap<TaskId, (Epoch, Vec<Answer>)>>,
    changed: watch::Sender<()>,
}

impl Answers {
    /// Gives an answer to the attempt with this fencing number. The first answer to a question counts.
    pub(crate) fn give(&self, task: TaskId, epoch: Epoch, answer: Answer) {
        self.with(|given| {
            let (current, answers) = given.entry(task).or_insert((epoch, Vec::new()));
            if *current != epoch {
                // Questions of an earlier attempt may have had the same numbers.
                (*current, *answers) = (epoch, Vec::new());
            }
            if answers.iter().all(|known| known.question != answer.question) {
                answers.push(answer);
            }
        });
        self.changed.send_replace(());
    }

    /// Every answer given to an attempt.
    pub(crate) fn of(&self, task: TaskId, epoch: Epoch) -> Vec<Answer> {
        self.with(|given| match given.get(&task) {
            Some((current, answers)) if *current == epoch => answers.clone(),
            _ => Vec::new(),
        })
    }

    /// Drops what was given to a task.
    pub(crate) fn forget(&self, task: TaskId) {
        self.with(|given| given.remove(&task));
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.with(BTreeMap::clear);
    }

    /// Tells of every answer given.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<TaskId, (Epoch, Vec<Answer>)>) -> T) -> T {
        work(&mut self.given.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
