use std::sync::Arc;

use kiln_model::Origin;
use kiln_plan::event::EventKind;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::{Failure, Requirements, Terms};

use super::*;
use crate::events::retry_note;

const SECRET: &str = "hunter2";

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n << 64 | n)
}

/// A build of one task whose first attempt failed by its machine and whose second did well.
fn story() -> Story {
    let (build, task) = (BuildId(uuid(1)), TaskId(uuid(2)));
    let (a1, a2) = (AgentId(uuid(0xa1)), AgentId(uuid(0xa2)));
    let lost = Failure::new(Fault::Machine, format!("the password {SECRET} was in it"));
    let first = EndedAttempt {
        attempt: AttemptId(uuid(11)),
        agent: a1,
        epoch: Epoch(1),
        granted: Timestamp(1_100),
        ended: Timestamp(2_000),
        how: AttemptEnd::Failed(lost),
    };
    let last = Lease::granted(AttemptId(uuid(12)), a2, Epoch(2), Timestamp(2_500));
    let task = Task {
        id: task,
        build,
        index: 0,
        name: "qemu.debian".to_owned(),
        plan: Fingerprint::of_bytes(b""),
        requirements: Arc::new(Requirements::default()),
        terms: Terms::default(),
        phase: TaskPhase::Finished {
            at: Timestamp(9_000),
            outcome: TaskOutcome::Succeeded { artifacts: Vec::new() },
        },
        epoch: Epoch(2),
        holder: Some(a2),
        said: Vec::new(),
        attempts: vec![first],
        finished_by: Some(last),
        cancelling: false,
        overrun: None,
        ending: Some(1),
    };
    let build = Build {
        id: build,
        order: 0,
        submitted: Timestamp(1_000),
        parallel: None,
        tasks: vec![task.id],
        active: 0,
        unfinished: 0,
        phase: BuildPhase::Ended { at: Timestamp(9_000), result: BuildResult::Succeeded },
        origin: Origin { project: "web".to_owned(), ..Origin::default() },
    };
    let mut steps = Steps::default();
    for (at, kind) in events() {
        steps.take(at, &kind);
    }
    let agents = [(a1, "host-1".to_owned()), (a2, "host-2".to_owned())].into_iter().collect();
    Story { steps: [(task.id, steps)].into_iter().collect(), build, tasks: vec![task], agents }
}

/// The first machine's clock is right, the second's is an hour late.
fn events() -> Vec<(u64, EventKind)> {
    let hour = 3_600_000;
    let say = |text: &str| EventKind::Say { speaker: None, text: text.to_owned() };
    let begin = |step: &str| EventKind::StepStarted { step: step.to_owned() };
    let end = |step: &str| EventKind::StepFinished { step: step.to_owned(), took_ms: 0 };
    vec![
        (1_200, say(SECRET)),
        (1_200, begin("start the guest")),
        (2_100, retry_note::of(1, ("host-1", "host-2"), SECRET)),
        (hour + 2_500, say("hello")),
        (hour + 2_600, begin("start the guest")),
        (hour + 3_000, end("start the guest")),
        (hour + 3_000, begin("provision the guest")),
        (hour + 3_100, begin("provision by shell")),
        (hour + 4_000, end("provision by shell")),
        (hour + 4_100, end("provision the guest")),
        (hour + 8_000, begin("publish the image")),
        (hour + 99_999, end("publish the image")),
    ]
}

/// `name start-end status`, each below what it is a part of.
fn drawn(spans: &[Span]) -> String {
    let depth = |span: &Span| {
        let parent = |id: &[u8; 8]| spans.iter().find(|other| other.id == *id);
        std::iter::successors(Some(span), |span| parent(span.parent.as_ref()?)).count() - 1
    };
    let line = |span: &Span| {
        let (indent, Span { name, start_ms, end_ms, status, .. }) = ("  ".repeat(depth(span)), span);
        format!("{indent}{name} {start_ms}-{end_ms} {status:?}\n")
    };
    spans.iter().map(line).collect()
}

#[test]
fn a_build_becomes_a_tree_of_spans() {
    let spans = of(&story());
    let expected = "\
build 1000-9000 Ok
  qemu.debian 1000-9000 Ok
    wait for an agent 1000-1100 Unset
    attempt 1 1100-2000 Error(\"machine\")
      start the guest 1200-2000 Error(\"machine\")
    wait for an agent 2000-2500 Unset
    attempt 2 2500-9000 Ok
      start the guest 2600-3000 Unset
      provision the guest 3000-4100 Unset
        provision by shell 3100-4000 Unset
      publish the image 8000-9000 Unset
";
    assert_eq!(drawn(&spans), expected);
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), spans.len(), "identifiers are unique");
    assert!(spans.iter().all(|span| span.trace == uuid(1).into_bytes()));
    assert_eq!(of(&story()), spans, "another leader says the same");
}

#[test]
fn no_words_of_tasks_get_into_spans() {
    let told = format!("{:?}", of(&story()));
    assert!(!told.contains(SECRET), "{told}");
    assert!(told.contains("host-2") && told.contains(r#"("kiln.epoch", Number(2))"#), "{told}");
}

#[test]
fn a_submitters_span_becomes_the_parent() {
    let mut story = story();
    story.build.origin.trace_parent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    let spans = of(&story);
    assert_eq!(spans[0].parent, Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
    assert!(spans.iter().all(|span| span.trace[..2] == [0x0a, 0xf7]));
}

#[test]
fn a_task_that_nobody_took_has_waited() {
    let mut story = story();
    let failure = Failure::new(Fault::Farm, "no agent");
    story.tasks[0].attempts.clear();
    story.tasks[0].finished_by = None;
    story.tasks[0].phase =
        TaskPhase::Finished { at: Timestamp(5_000), outcome: TaskOutcome::Failed { failure } };
    story.steps.clear();
    let expected = "\
build 1000-9000 Ok
  qemu.debian 1000-5000 Error(\"farm\")
    wait for an agent 1000-5000 Unset
";
    assert_eq!(drawn(&of(&story)), expected);
}

#[test]
fn what_a_guest_fakes_takes_no_more_memory_than_anything_else() {
    let mut steps = Steps::default();
    let fake = |count: usize| retry_note::of(count, ("x", "y"), "");
    steps.take(1, &fake(usize::MAX));
    steps.take(1, &fake(3));
    assert_eq!(steps.attempts.len(), 4);
    for n in 0..1_000 {
        steps.take(n, &EventKind::StepStarted { step: "x".repeat(10_000) });
    }
    let seen = steps.attempts.last().unwrap();
    assert_eq!((seen.steps.len(), seen.left_out), (256, 744));
    assert!(seen.steps.iter().all(|step| step.name.len() == 128));
}
