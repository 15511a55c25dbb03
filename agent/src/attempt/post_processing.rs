//! Running a plan's post-processor sequences over the builder's artifact, and deciding which artifacts stay.
//!
//! ```text
//!   sequence 1:  original ─► a ─► b ─►(last: a result)      each hands its artifact to the next
//!   sequence 2:  original ─► c ─►(last: a result)           a failed one ends its own sequence only
//!
//!   a's input is the original: it stays if any first post-processor keeps it (or there are no sequences) and is then the
//!   first result; otherwise it is destroyed at the end, even after failures.
//!   b's input is a's: a result if b keeps it, destroyed at once otherwise.
//! ```

use std::sync::Arc;

use kiln_component::{Artifact, Keep, Processed, TaskContext};
use kiln_plan::{Failure, Fault, PostProcessorPlan};

use super::finish_config::Moment;
use super::make::{self, Maker};
use super::run_values;
use crate::catalog::Factories;

/// The post-processors of a task, and what they left so far.
pub(super) struct PostProcessing<'a> {
    cx: &'a TaskContext,
    factories: &'a Factories,
    keep_original: bool,
    results: Vec<Arc<dyn Artifact>>,
    failures: Vec<Failure>,
}

impl<'a> PostProcessing<'a> {
    pub(super) fn new(cx: &'a TaskContext, factories: &'a Factories) -> Self {
        let keep_original = cx.plan.post_processors.is_empty();
        Self { cx, factories, keep_original, results: Vec::new(), failures: Vec::new() }
    }

    /// Runs all sequences; the artifacts that stay, the original first if it does.
    pub(super) async fn run(
        mut self,
        original: Arc<dyn Artifact>,
    ) -> Result<Vec<Arc<dyn Artifact>>, Failure> {
        let cx = self.cx;
        for sequence in &cx.plan.post_processors {
            if !cx.cancel.is_cancelled() {
                self.sequence(sequence, &original).await;
            }
        }
        if self.keep_original {
            self.results.insert(0, original);
        } else if let Err(failure) = original.destroy().await {
            self.fail("Error destroying builder artifact", failure);
        }
        if cx.cancel.is_cancelled() {
            return Err(Failure::cancelled());
        }
        match self.failures.first() {
            None => Ok(self.results),
            Some(first) => Err(all_of(first, &self.failures)),
        }
    }

    async fn sequence(&mut self, plans: &[PostProcessorPlan], original: &Arc<dyn Artifact>) {
        let mut prior = original.clone();
        for (index, plan) in plans.iter().enumerate() {
            let processed = match self.one(plan, prior.clone()).await {
                Ok(processed) => processed,
                Err(failure) => return self.fail("Post-processor failed", failure),
            };
            // Nothing came out: the sequence ends quietly, and its input is nobody's.
            let Some(artifact) = processed.artifact else { return };
            match (index, keeps(processed.keep, plan.keep_input_artifact)) {
                (0, keep) => self.keep_original |= keep,
                (_, true) => self.results.push(prior),
                (_, false) => {
                    if let Err(failure) = prior.destroy().await {
                        self.fail("Failed cleaning up prior artifact", failure);
                    }
                }
            }
            prior = artifact;
        }
        self.results.push(prior);
    }

    async fn one(&self, plan: &PostProcessorPlan, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        if self.cx.cancel.is_cancelled() {
            return Err(Failure::cancelled());
        }
        let kind = &plan.component.name;
        self.cx.reporter.say(match plan.name == *kind {
            true => format!("Running post-processor: {kind}"),
            false => format!("Running post-processor: {} (type {kind})", plan.name),
        });
        let generated = input.generated();
        let reporter = self.cx.reporter.hiding(run_values::secrets(&generated)).speaking_as(kind);
        let cx = self.cx.with_reporter(reporter);
        let maker = Maker { plan: &cx.plan, factories: self.factories };
        let made = maker.post_processor(&plan.component, Moment::Running(&generated));
        let (post_processor, _told_by_the_check) = made.map_err(|found| make::failure(&found))?;
        let step = format!("post-process by {kind}");
        let result = cx.reporter.step(step, post_processor.process(&cx, input)).await;
        result.map_err(|f| Failure { message: cx.reporter.redact(&f.message), ..f })
    }

    fn fail(&mut self, what: &str, failure: Failure) {
        self.failures.push(Failure { message: format!("{what}: {}", failure.message), ..failure });
    }
}

/// Whether the input is kept: as the template says, if it says something and the post-processor doesn't insist.
fn keeps(keep: Keep, wanted: Option<bool>) -> bool {
    match (keep, wanted) {
        (Keep::Always, _) => true,
        (_, Some(wanted)) => wanted,
        (Keep::KeepByDefault, None) => true,
        (Keep::DropByDefault, None) => false,
    }
}

fn all_of(first: &Failure, all: &[Failure]) -> Failure {
    let points: Vec<String> = all.iter().map(|f| format!("* {f}")).collect();
    let message = format!("{} error(s) occurred:\n\n{}", all.len(), points.join("\n"));
    // Another machine helps only if it would help against all of them.
    let stuck = all.iter().find(|f| !f.fault.may_retry_elsewhere());
    let fault: Fault = stuck.unwrap_or(first).fault;
    let evidence = all.iter().flat_map(|f| f.evidence.clone()).collect();
    Failure { fault, message, hint: first.hint.clone(), evidence, cancelled: false }
}
