//! Steps one after the other, and their undoing last-first, however it ends.
//!
//! ```text
//!            ┌───────────── retry (a person said so) ─────────────┐
//!            ▼                                                    │
//!   step ──► runs ── done ──► next step … body ends ──► undo all  │
//!            │                                            ▲       │
//!            ├─ cancelled ── (abort: leave all) ──────────┤       │
//!            └─ failed ── policy: cleanup ────────────────┘       │
//!                           │     ask ──► a person ──── [r] ──────┘
//!                           │              ├─ [c] ─► undo all
//!                           │              └─ [a] ─┐
//!                           ├── abort ─────────────┴──► leave all
//!                           └── run-cleanup-provisioner ─► undo provisioning, leave the rest
//! ```
//!
//! The future of [`Pipeline::run`] must not be dropped before its end, or what the steps did stays until the journal
//! closes: whoever wants it to end early fires the task's cancellation. Each undo has a deadline of its own and a
//! context whose cancellation never fires; a panic in a step or in an undo counts as its failure.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use kiln_plan::{Failure, Fault, OnError};
use tokio_util::sync::CancellationToken;

use crate::context::TaskContext;
use crate::step::{Done, Ending, Step, Undo};

/// The steps of one builder (or of anything else that must be undone) while they run.
#[derive(Debug)]
pub struct Pipeline {
    cx: TaskContext,
    undos: Vec<Undoing>,
    /// What was decided about the step that failed.
    aftermath: Option<Aftermath>,
}

struct Undoing {
    step: &'static str,
    undo: Box<dyn Undo>,
}

impl std::fmt::Debug for Undoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Undoing({})", self.step)
    }
}

/// What happens to what the steps did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    Undo,
    Leave,
    UndoProvisioning,
}

/// What to do about a failed step.
enum Verdict {
    Retry,
    End(Aftermath),
}

impl Pipeline {
    /// Runs `body`, which runs the steps, and then undoes what they did, as the ending and the run's options ask.
    ///
    /// # Errors
    /// What `body` fails with, marked cancelled when the task was cancelled before the body's end.
    pub async fn run<T>(
        cx: &TaskContext,
        body: impl AsyncFnOnce(&mut Pipeline) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut pipeline = Pipeline { cx: cx.clone(), undos: Vec::new(), aftermath: None };
        let result = AssertUnwindSafe(body(&mut pipeline)).catch_unwind().await.unwrap_or_else(|panic| {
            Err(Failure::new(Fault::Machine, format!("internal error: {}", panic_text(&*panic))))
        });
        let cancelled = cx.cancel.is_cancelled();
        let (result, ending) = match result {
            Ok(_) if cancelled => (Err(Failure::cancelled()), Ending::Cancelled),
            Ok(value) => (Ok(value), Ending::Succeeded),
            Err(failure) if cancelled || failure.cancelled => {
                (Err(Failure { cancelled: true, ..failure }), Ending::Cancelled)
            }
            Err(failure) => (Err(failure), Ending::Failed),
        };
        pipeline.end(ending).await;
        result
    }

    /// Runs one step; its undo is kept for the end.
    ///
    /// # Errors
    /// The step's failure, after a person had the choice to try again; a cancelled one when the task is cancelled.
    pub async fn step<S: Step>(&mut self, step: &S) -> Result<S::Output, Failure> {
        loop {
            if self.cx.cancel.is_cancelled() {
                return Err(Failure::cancelled());
            }
            let failure = match self.attempt(step).await {
                Ok(done) => {
                    self.undos.extend(done.undo.map(|undo| Undoing { step: step.name(), undo }));
                    self.pause(&format!("Pausing after run of step '{}'.", step.name())).await;
                    return Ok(done.output);
                }
                Err(failure) => failure,
            };
            if failure.cancelled || self.cx.cancel.is_cancelled() {
                return Err(Failure { cancelled: true, ..failure });
            }
            match self.judge(step.name(), &failure).await {
                Verdict::Retry => {}
                Verdict::End(aftermath) => {
                    self.aftermath = Some(aftermath);
                    return Err(failure);
                }
            }
        }
    }

    /// Keeps an undo for the end that belongs to no finished step: for what must be taken back even when `step`,
    /// which comes next, fails.
    pub fn guard(&mut self, step: &'static str, undo: impl Undo + 'static) {
        self.undos.push(Undoing { step, undo: Box::new(undo) });
    }

    async fn attempt<S: Step>(&self, step: &S) -> Result<Done<S::Output>, Failure> {
        let reporter = &self.cx.reporter;
        let name = step.name();
        let result =
            reporter.step(name.to_owned(), AssertUnwindSafe(step.run(&self.cx)).catch_unwind()).await;
        result.unwrap_or_else(|panic| {
            let text = format!("internal error in the step {name:?}: {}", panic_text(&*panic));
            Err(Failure::new(Fault::Machine, text))
        })
    }

    async fn judge(&self, step: &str, failure: &Failure) -> Verdict {
        let reporter = &self.cx.reporter;
        let on_error = self.cx.plan.options.on_error;
        if on_error != OnError::Cleanup {
            reporter.error(&failure.message);
        }
        match on_error {
            OnError::Cleanup => Verdict::End(Aftermath::Undo),
            OnError::Abort => {
                reporter.error(format!("Step {step:?} failed, aborting..."));
                Verdict::End(Aftermath::Leave)
            }
            OnError::RunCleanupProvisioner => {
                reporter.error(format!("Step {step:?} failed, aborting..."));
                Verdict::End(Aftermath::UndoProvisioning)
            }
            OnError::Ask => {
                reporter.error(format!("Step {step:?} failed"));
                self.ask().await
            }
        }
    }

    async fn ask(&self) -> Verdict {
        const QUESTION: &str = "[c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may \
                                fail even if retry succeeds)?";
        while let Some(answer) = self.cx.reporter.ask(QUESTION).await {
            match answer.trim().chars().next().map(|c| c.to_ascii_lowercase()) {
                None | Some('c') => break,
                Some('a') => return Verdict::End(Aftermath::Leave),
                Some('r') => return Verdict::Retry,
                Some(_) => self.cx.reporter.say(format!("Incorrect input: {:?}", answer.trim())),
            }
        }
        Verdict::End(Aftermath::Undo)
    }

    async fn end(self, ending: Ending) {
        let on_error = self.cx.plan.options.on_error;
        let aftermath = match (ending, self.aftermath, on_error) {
            (Ending::Succeeded, ..) => Aftermath::Undo,
            (Ending::Cancelled, _, OnError::Abort | OnError::RunCleanupProvisioner) => {
                self.cx.reporter.error("Interrupted, aborting...");
                Aftermath::Leave
            }
            (Ending::Cancelled, ..) => Aftermath::Undo,
            (Ending::Failed, Some(decided), _) => decided,
            // The body failed between its steps.
            (Ending::Failed, None, OnError::Abort) => Aftermath::Leave,
            (Ending::Failed, None, OnError::RunCleanupProvisioner) => Aftermath::UndoProvisioning,
            (Ending::Failed, None, OnError::Cleanup | OnError::Ask) => Aftermath::Undo,
        };
        if aftermath != Aftermath::Undo {
            self.cx.journal.leave_everything();
        }
        for undoing in self.undos.into_iter().rev() {
            let spared = match aftermath {
                Aftermath::Undo => false,
                Aftermath::Leave => true,
                Aftermath::UndoProvisioning => !undoing.undo.is_provisioning(),
            };
            if spared {
                let line = format!("aborted: skipping cleanup of step {:?}", undoing.step);
                self.cx.reporter.error(line);
            } else {
                undo(&self.cx, undoing, ending).await;
            }
        }
    }

    async fn pause(&self, before: &str) {
        pause(&self.cx, before).await;
    }
}

async fn undo(cx: &TaskContext, Undoing { step, undo }: Undoing, ending: Ending) {
    pause(cx, &format!("Pausing before cleanup of step '{step}'.")).await;
    let limit = undo.deadline();
    let calm = cx.with_cancel(CancellationToken::new());
    let work = AssertUnwindSafe(undo.undo(&calm, ending)).catch_unwind();
    let problem = match tokio::time::timeout(limit, work).await {
        Ok(Ok(())) => return,
        Ok(Err(panic)) => panic_text(&*panic).to_owned(),
        Err(_) => {
            format!("it took longer than {} s; what is left is removed when the task ends", limit.as_secs())
        }
    };
    cx.reporter.error(format!("cannot undo the step {step:?}: {problem}"));
}

/// With `-debug`, waits for a person's Enter; goes on when there is nobody.
pub async fn pause(cx: &TaskContext, before: &str) {
    if cx.plan.options.debug && !cx.cancel.is_cancelled() {
        let _enter = cx.reporter.ask(&format!("{before} Press enter to continue.")).await;
    }
}

/// The text that a panic came with.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}

#[cfg(test)]
mod tests;
