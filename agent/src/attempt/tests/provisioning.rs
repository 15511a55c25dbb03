//! What is done around provisioners: pauses, timeouts, retries, cleaning up.

use kiln_plan::OnError;
use std::time::{Duration, Instant};

use super::*;

const CLEANUP_LINE: &str = "Provisioning step had errors: Running the cleanup provisioner, if present...";

async fn check(trial: Trial, expected: &[&str]) {
    assert_eq!(trial.story().await, expected);
}

#[tokio::test]
async fn provisioners_run_in_order_and_the_first_failure_ends_it() {
    let trial = Trial::probing(&[])
        .provisioner(&[("note", "one")], |_| {})
        .provisioner(&[("note", "two"), ("failures", "1")], |_| {})
        .provisioner(&[("note", "three")], |_| {});
    check(trial, &["one", "two", CLEANUP_LINE, "= Guest: try 1 failed"]).await;
}

#[tokio::test]
async fn retries_run_the_whole_again_and_tell_the_first_failure() {
    let line = |left| format!("Provisioner failed with \"try 1 failed\", retrying with {left} trie(s) left");
    let (two, one) = (line(2), line(1));
    let retried = |failures| {
        Trial::probing(&[]).provisioner(&[("note", "x"), ("failures", failures)], |p| p.max_retries = 2)
    };
    check(retried("2"), &["x", &two, "x", &one, "x", "= succeeded"]).await;
    let end = "= Guest: try 1 failed";
    check(retried("9"), &["x", &two, "x", &one, "x", "retry limit reached.", CLEANUP_LINE, end]).await;
}

#[tokio::test]
async fn continue_on_error_stands_outside_of_the_retries() {
    let trial = Trial::probing(&[])
        .provisioner(&[("note", "x"), ("failures", "9")], |p| {
            p.max_retries = 1;
            p.continue_on_error = true;
        })
        .provisioner(&[("note", "y")], |_| {});
    let expected = [
        "x",
        "Provisioner failed with \"try 1 failed\", retrying with 1 trie(s) left",
        "x",
        "retry limit reached.",
        "Warning: Provisioner failed with \"try 1 failed\", continuing",
        "y",
        "= succeeded",
    ];
    check(trial, &expected).await;
}

#[tokio::test]
async fn a_timeout_holds_for_each_try() {
    let trial = Trial::probing(&[]).provisioner(&[("note", "x"), ("wait", "true")], |p| {
        p.timeout = SignedDuration { nanoseconds: 20_000_000 };
        p.max_retries = 1;
    });
    let (setting, expired) =
        ("Setting a 20ms timeout for the next provisioner...", "! Cancelling provisioner after a timeout...");
    let words = "the provisioner \"probe\" did not end within its timeout of 20ms";
    let retrying = format!("Provisioner failed with {words:?}, retrying with 1 trie(s) left");
    let end = format!("= Guest: {words}");
    let expected =
        [setting, "x", expired, &retrying, setting, "x", expired, "retry limit reached.", CLEANUP_LINE, &end];
    check(trial, &expected).await;
}

#[tokio::test]
async fn a_pause_hides_the_timeout() {
    let trial = Trial::probing(&[]).provisioner(&[("note", "x")], |p| {
        p.pause_before = SignedDuration { nanoseconds: 1_000_000 };
        p.timeout = SignedDuration { nanoseconds: 1 };
    });
    check(trial, &["Pausing 1ms before the next provisioner...", "x", "= succeeded"]).await;
}

#[tokio::test]
async fn a_pause_ends_when_the_task_is_cancelled() {
    let begun = Instant::now();
    let trial = Trial::probing(&[])
        .error_cleanup()
        .provisioner(&[("note", "x")], |p| p.pause_before = SignedDuration::from_secs(600))
        .cancel_at("Pausing");
    check(trial, &["Pausing 10m0s before the next provisioner...", "= cancelled"]).await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn cancellation_stops_even_what_would_be_retried_or_passed_over() {
    let trial = Trial::probing(&[])
        .error_cleanup()
        .provisioner(&[("note", "x"), ("wait", "true")], |p| {
            p.max_retries = 5;
            p.continue_on_error = true;
        })
        .provisioner(&[("note", "y")], |_| {})
        .cancel_at("x");
    check(trial, &["x", "= cancelled"]).await;
}

#[tokio::test]
async fn the_cleanup_provisioner_runs_after_any_failure_since_provisioning_began() {
    let failing: &[(&str, &str)] = &[("note", "x"), ("failures", "9")];
    let run = |fail_at: &'static str, on_error| {
        Trial::probing(&[("fail_at", fail_at)])
            .options(RunOptions { on_error, ..Default::default() })
            .error_cleanup()
    };
    let skipping = "! aborted: skipping cleanup of step \"provision the guest\"";
    check(run("boot", OnError::Cleanup), &["= Machine: cannot boot"]).await;
    check(run("export", OnError::Cleanup), &[CLEANUP_LINE, "cleaning", "= Machine: cannot export"]).await;
    check(
        run("", OnError::Cleanup).provisioner(failing, |_| {}),
        &["x", CLEANUP_LINE, "cleaning", "= Guest: try 1 failed"],
    )
    .await;
    let aborting = ["! cannot export", "! Step \"export\" failed, aborting..."];
    // Everything else is left as it is then, the run directory too.
    for (policy, rest) in
        [(OnError::RunCleanupProvisioner, &[CLEANUP_LINE, "cleaning"][..]), (OnError::Abort, &[skipping])]
    {
        let trial = run("export", policy);
        let ended = trial.abandoned().await;
        let lines = trial.diary.lines.lock().unwrap();
        assert_eq!(lines[..lines.len().min(2 + rest.len())], [&aborting[..], rest].concat());
        assert!(matches!(ended, TaskOutcome::Failed { .. }));
    }
}

#[tokio::test]
async fn what_is_left_for_inspection_is_told() {
    let options = RunOptions { on_error: OnError::Abort, ..Default::default() };
    let failing: &[(&str, &str)] = &[("note", "x"), ("failures", "9")];
    let trial = Trial::probing(&[]).options(options).provisioner(failing, |_| {});
    trial.abandoned().await;
    let last = trial.diary.lines.lock().unwrap().last().unwrap().clone();
    let left = PathBuf::from(last.strip_prefix("Left for inspection: ").unwrap());
    assert!(left.join("x").exists());
}

#[tokio::test]
async fn debug_pauses_before_each_provisioner() {
    let trial = Trial::probing(&[])
        .options(RunOptions { debug: true, ..Default::default() })
        .provisioner(&[("note", "x")], |_| {});
    let story = trial.story().await;
    let line = "? Pausing before the next provisioner . Press enter to continue.";
    let at = story.iter().position(|l| l == line).unwrap();
    assert_eq!(story[at + 1], "x");
}

#[tokio::test]
async fn configs_are_finished_with_the_values_of_the_guest() {
    let mut trial = Trial::probing(&[]).provisioner(
        &[
            ("note", "x"),
            (
                "show",
                r#"{{build "ID"}} {{build "Extra"}} {{build "PackerHTTPIP"}} {{build_name}} {{build_type}}"#,
            ),
            ("late", "{{.Vars}} stays"),
        ],
        |_| {},
    );
    trial.plan.dialect = Dialect::LegacyJson;
    let shown = "i-1 <unknown> ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER test probe";
    check(trial, &["x", shown, "{{.Vars}} stays", "= succeeded"]).await;
}

#[tokio::test]
async fn expressions_over_the_build_are_finished_with_the_values_of_the_guest() {
    let mut trial = Trial::probing(&[]).provisioner(&[("note", "x")], |_| {});
    trial.plan.facts.block_name = "nightly".to_owned();
    let text = r#"show = "${upper(build.ID)} ${build.name} ${build.Host}""#;
    let (body, found) = kiln_lang::parse::body(&kiln_lang::SourceFile::new("t.pkr.hcl", text));
    assert!(found.is_empty(), "{found:?}");
    let scope = kiln_lang::Scope::new(&kiln_lang::function::pure());
    let reduced = kiln_lang::reduce(&body.attributes[0].expression, &scope, &["build"]).unwrap();
    let kiln_lang::Reduced::Deferred(deferred) = reduced else { panic!("{reduced:?}") };
    let leaf = kiln_plan::Leaf::Deferred(Arc::new(deferred));
    let item = kiln_plan::BodyItem::Attribute { name: "show".to_owned(), leaf, span: None };
    trial.plan.provisioners[0].component.body.items.push(item);
    // As it comes to an agent.
    let wire = serde_json::to_string(&trial.plan).unwrap();
    trial.plan = serde_json::from_str(&wire).unwrap();
    check(trial, &["x", "I-1 nightly <unknown>", "= succeeded"]).await;
}

#[tokio::test]
async fn the_guests_secrets_are_hidden() {
    let secret = "the word is hunter2-of-guest";
    let trial = Trial::probing(&[]).provisioner(&[("note", "x"), ("show", secret)], |_| {});
    check(trial, &["x", "the word is <sensitive>", "= succeeded"]).await;
}
