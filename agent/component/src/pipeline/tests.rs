use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, EventKind, Redactor, RunOptions};

use super::*;
use crate::journal::Journal;
use crate::reporter::{EventSink, Reporter};

/// What was said and done, in order, and what a person will answer.
#[derive(Debug, Default)]
struct Diary {
    lines: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<&'static str>>,
}

impl Diary {
    fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }
}

#[async_trait]
impl EventSink for Diary {
    fn send(&self, event: EventKind) {
        match event {
            EventKind::Say { text, .. } => self.note(text),
            EventKind::Error { text, .. } => self.note(format!("! {text}")),
            _ => {}
        }
    }

    async fn ask(&self, text: &str) -> Option<String> {
        self.note(format!("? {text}"));
        self.answers.lock().unwrap().pop_front().map(str::to_owned)
    }
}

fn plan(options: RunOptions) -> BuildPlan {
    let builder = ComponentConfig::bare(ComponentKind::Builder, "null");
    BuildPlan { options, ..BuildPlan::of_builder(builder, "test") }
}

fn context(diary: &Arc<Diary>, options: RunOptions) -> TaskContext {
    TaskContext {
        plan: Arc::new(plan(options)),
        reporter: Reporter::new(diary.clone(), Arc::new(Redactor::default())),
        cancel: CancellationToken::new(),
        scratch: "/".into(),
        journal: Journal::in_memory(),
        working_dir: "/".into(),
        cache_dir: "/".into(),
        origins: crate::Origins::default(),
    }
}

/// Fails `failures` times before it succeeds.
struct Sample {
    name: &'static str,
    diary: Arc<Diary>,
    failures: Mutex<usize>,
    provisioning: bool,
}

struct SampleUndo {
    name: &'static str,
    diary: Arc<Diary>,
    provisioning: bool,
}

#[async_trait]
impl Step for Sample {
    type Output = String;

    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<String>, Failure> {
        self.diary.note(format!("run {}", self.name));
        match self.name {
            "cancelling" => cx.cancel.cancel(),
            "panicking" => panic!("slipped"),
            _ => {}
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(Failure::new(Fault::Guest, format!("{} is broken", self.name)));
        }
        let undo = SampleUndo { name: self.name, diary: self.diary.clone(), provisioning: self.provisioning };
        Ok(Done::with_undo(self.name.to_owned(), undo))
    }
}

#[async_trait]
impl Undo for SampleUndo {
    async fn undo(self: Box<Self>, cx: &TaskContext, ending: Ending) {
        self.diary.note(format!("undo {} {ending:?}", self.name));
        assert!(!cx.cancel.is_cancelled(), "undo must not see the cancellation");
        match self.name {
            "sticky" => std::future::pending().await,
            "clumsy" => panic!("slipped"),
            _ => {}
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn is_provisioning(&self) -> bool {
        self.provisioning
    }
}

/// Runs steps of these names (`name!` fails once, `name!!` always) and tells what was said and done.
async fn check(options: RunOptions, answers: &[&'static str], steps: &str, expected: &[&str]) {
    let diary = Arc::new(Diary::default());
    diary.answers.lock().unwrap().extend(answers);
    let cx = context(&diary, options.clone());
    let steps: Vec<Sample> = steps
        .split(' ')
        .map(|name| Sample {
            failures: Mutex::new(match name.len() - name.trim_end_matches('!').len() {
                2 => usize::MAX,
                count => count,
            }),
            name: Box::leak(name.trim_end_matches('!').to_owned().into_boxed_str()),
            diary: diary.clone(),
            provisioning: name == "provision",
        })
        .collect();
    // Spawned, so that this test also proves that a pipeline is `Send`.
    let task = tokio::spawn(async move {
        Pipeline::run(&cx, async |p| {
            for step in &steps {
                p.step(step).await?;
            }
            Ok("artifact")
        })
        .await
    });
    let result = match task.await.unwrap() {
        Ok(artifact) => artifact.to_owned(),
        Err(failure) if failure.cancelled => "cancelled".to_owned(),
        Err(failure) => format!("failed: {failure}"),
    };
    diary.note(format!("= {result}"));
    assert_eq!(*diary.lines.lock().unwrap(), expected, "{options:?}");
}

fn on_error(on_error: OnError) -> RunOptions {
    RunOptions { on_error, ..Default::default() }
}

const QUESTION: &str = "? [c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may fail \
                        even if retry succeeds)?";

#[tokio::test]
async fn after_success_resources_are_given_back_last_first() {
    let expected = ["run a", "run b", "undo b Succeeded", "undo a Succeeded", "= artifact"];
    check(RunOptions::default(), &[], "a b", &expected).await;
}

#[tokio::test]
async fn cleanup_undoes_the_steps_before_the_failed_one() {
    let expected = ["run a", "run b", "run c", "undo b Failed", "undo a Failed", "= failed: c is broken"];
    check(RunOptions::default(), &[], "a b c! d", &expected).await;
}

#[tokio::test]
async fn abort_undoes_nothing_and_says_so() {
    let expected = [
        "run a",
        "run provision",
        "run c",
        "! c is broken",
        "! Step \"c\" failed, aborting...",
        "! aborted: skipping cleanup of step \"provision\"",
        "! aborted: skipping cleanup of step \"a\"",
        "= failed: c is broken",
    ];
    check(on_error(OnError::Abort), &[], "a provision c!", &expected).await;
}

#[tokio::test]
async fn run_cleanup_provisioner_undoes_provisioning_alone() {
    let expected = [
        "run a",
        "run provision",
        "run c",
        "! c is broken",
        "! Step \"c\" failed, aborting...",
        "undo provision Failed",
        "! aborted: skipping cleanup of step \"a\"",
        "= failed: c is broken",
    ];
    check(on_error(OnError::RunCleanupProvisioner), &[], "a provision c!", &expected).await;
}

#[tokio::test]
async fn ask_lets_a_person_choose() {
    let failed = ["run a", "run b", "! b is broken", "! Step \"b\" failed", QUESTION];
    let cleaned: &[&str] = &["undo a Failed", "= failed: b is broken"];
    let left: &[&str] = &["! aborted: skipping cleanup of step \"a\"", "= failed: b is broken"];
    let retried: &[&str] = &["run b", "undo b Succeeded", "undo a Succeeded", "= artifact"];
    let corrected: &[&str] =
        &["Incorrect input: \"what?\"", QUESTION, "undo a Failed", "= failed: b is broken"];
    let cases: [(&[&'static str], &[&str]); 7] = [
        (&["c"], cleaned),
        (&[""], cleaned),
        (&[], cleaned),
        (&["abort"], left),
        (&["Retry please"], retried),
        (&["what?", "C"], corrected),
        (&["r"], retried),
    ];
    for (answers, rest) in cases {
        check(on_error(OnError::Ask), answers, "a b!", &[&failed, rest].concat()).await;
    }
}

#[tokio::test]
async fn cancellation_stops_before_the_next_step_and_undoes() {
    let undone = ["run a", "run cancelling", "undo cancelling Cancelled", "undo a Cancelled", "= cancelled"];
    for policy in [OnError::Cleanup, OnError::Ask] {
        check(on_error(policy), &[], "a cancelling b", &undone).await;
        check(on_error(policy), &[], "a cancelling", &undone).await;
    }
    let failed = ["run a", "run cancelling", "undo a Cancelled", "= cancelled"];
    check(on_error(OnError::Ask), &[], "a cancelling!", &failed).await;
    let left = [
        "run a",
        "run cancelling",
        "! Interrupted, aborting...",
        "! aborted: skipping cleanup of step \"a\"",
        "= cancelled",
    ];
    check(on_error(OnError::Abort), &[], "a cancelling!", &left).await;
}

#[tokio::test]
async fn debug_pauses_after_steps_and_before_undos() {
    let expected = [
        "run a",
        "? Pausing after run of step 'a'. Press enter to continue.",
        "? Pausing before cleanup of step 'a'. Press enter to continue.",
        "undo a Succeeded",
        "= artifact",
    ];
    check(RunOptions { debug: true, ..Default::default() }, &[""], "a", &expected).await;
}

#[tokio::test]
async fn a_panic_or_a_hanging_undo_does_not_keep_the_others_from_running() {
    let expected = [
        "run a",
        "run sticky",
        "run clumsy",
        "run panicking",
        "undo clumsy Failed",
        "! cannot undo the step \"clumsy\": slipped",
        "undo sticky Failed",
        "! cannot undo the step \"sticky\": it took longer than 0 s; what is left is removed when the task ends",
        "undo a Failed",
        "= failed: internal error in the step \"panicking\": slipped",
    ];
    check(RunOptions::default(), &[], "a sticky clumsy panicking", &expected).await;
}
