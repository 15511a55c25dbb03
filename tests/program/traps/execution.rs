//! Traps of carrying a build out: pauses, timeouts and retries, cleaning up, artifacts, interruptions.

use super::{run, shell_local, template, with};

#[test]
fn trap_12_a_pause_hides_the_timeout_and_the_first_error_is_the_one_told() {
    let provisioner = |options: &str, line: &str| {
        template(&["a"], &format!("  provisioner \"shell-local\" {{\n    inline = [{line:?}]\n{options}  }}"))
    };
    let paused =
        provisioner("    pause_before = \"1ms\"\n    timeout      = \"10ms\"\n", "sleep 0.3; echo made it");
    let ran = run(&paused, &["build"]);
    ran.expect_code(0)
        .expect("Pausing 1ms before the next provisioner...")
        .expect("made it")
        .expect_not("Setting a");
    let retried = provisioner("    max_retries = 1\n", "echo x >> tries; exit $(( $(wc -l < tries) + 2 ))");
    let place = with("t.pkr.hcl", &retried);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("retrying with 1 trie(s) left").expect("retry limit reached.");
    let last = ran.stdout.lines().find(|l| l.starts_with("Build 'null.a' errored")).unwrap_or_default();
    assert!(last.contains("status: 3") && !last.contains("status: 4"), "{}", ran.stdout);
    assert_eq!(place.read("tries"), "x\nx\n");
    let forgiven = provisioner("    max_retries       = 1\n    continue_on_error = true\n", "exit 1");
    run(&forgiven, &["build"]).expect_code(0).expect("Warning: Provisioner failed with");
}

#[test]
fn trap_13_the_cleanup_provisioner_follows_any_error_once_provisioning_began() {
    let failing = shell_local("provisioner", "exit 1");
    let cleanup = shell_local("error-cleanup-provisioner", "echo cleaning up here");
    let line = "Provisioning step had errors: Running the cleanup provisioner, if present...";
    run(&template(&["a"], &failing), &["build"]).expect_code(1).expect(line);
    let both = template(&["a"], &format!("{failing}{cleanup}"));
    run(&both, &["build"]).expect_code(1).expect(line).expect(": cleaning up here");
    run(&both, &["build", "-on-error=abort"]).expect_code(1).expect_not("cleaning up here");
    run(&both, &["build", "-on-error=run-cleanup-provisioner"]).expect_code(1).expect(": cleaning up here");
    let well = template(&["a"], &format!("{}{cleanup}", shell_local("provisioner", "true")));
    run(&well, &["build"]).expect_code(0).expect_not("cleaning up here").expect_not(line);
}

const FILE: &str = "source \"file\" \"a\" {\n  content = \"x\"\n  target  = \"made.txt\"\n}\n";

/// A build of one file, with these post-processors.
fn file_build(posts: &str) -> String {
    format!("{FILE}build {{\n  sources = [\"file.a\"]\n{posts}}}\n")
}

#[test]
fn trap_14_a_failed_post_processor_costs_the_artifact_unless_a_sequence_kept_it() {
    let failing = "  post-processor \"compress\" {\n    output = \"/proc/nowhere/x.tar.gz\"\n  }\n";
    let place = with("t.pkr.hcl", &file_build(failing));
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Post-processor failed: ").expect_not("--> file.a: Stored file");
    assert!(!place.work().join("made.txt").exists(), "the original artifact is destroyed");
    // The second block is a sequence of its own: it runs, and keeps the original.
    let two = format!("{failing}{}", shell_local("post-processor", "echo still running"));
    let place = with("t.pkr.hcl", &file_build(&two));
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("still running").expect_not("--> file.a: Stored file");
    assert!(place.work().join("made.txt").exists(), "a sequence kept the original artifact");
    // Inside one sequence the failure ends it.
    let chained =
        format!("  post-processors {{\n{failing}{}  }}\n", shell_local("post-processor", "echo never"));
    with("t.pkr.hcl", &file_build(&chained)).run(["build", "t.pkr.hcl"]).expect_code(1).expect_not(": never");
}

#[test]
fn trap_15_what_happens_to_an_input_has_three_levels() {
    let cases = [
        ("compress", "    output = \"out.tar.gz\"\n", false),
        ("compress", "    output = \"out.tar.gz\"\n    keep_input_artifact = true\n", true),
        ("manifest", "    keep_input_artifact = false\n", true),
        ("checksum", "    keep_input_artifact = false\n", true),
        ("shell-local", "    inline = [\"true\"]\n    keep_input_artifact = false\n", true),
        ("artifice", "    files = [\"t.pkr.hcl\"]\n", true),
        ("artifice", "    files = [\"t.pkr.hcl\"]\n    keep_input_artifact = false\n", false),
    ];
    for (kind, options, kept) in cases {
        let place =
            with("t.pkr.hcl", &file_build(&format!("  post-processor \"{kind}\" {{\n{options}  }}\n")));
        place.run(["build", "t.pkr.hcl"]).expect_code(0);
        assert_eq!(place.work().join("made.txt").exists(), kept, "{kind} {options}");
    }
}

#[test]
fn trap_17_an_interruption_is_told_in_one_line_and_lists_nothing() {
    let inside = format!(
        "{}{}{}",
        shell_local("provisioner", "echo begun; while :; do sleep 0.1; done"),
        shell_local("error-cleanup-provisioner", "echo cleanup provisioner"),
        shell_local("post-processor", "echo post-processed")
    );
    let place = with("t.pkr.hcl", &template(&["a"], &inside));
    for (signal, word) in [("INT", "interrupt"), ("TERM", "terminated")] {
        let mut running = place.start(["build", "t.pkr.hcl"]);
        running.wait_for("==> null.a: begun");
        running.signal(signal);
        let ran = running.finish();
        ran.expect_code(1).expect(&format!("Cancelling build after receiving {word}\n"));
        ran.expect("Cleanly cancelled builds after being interrupted.");
        for absent in [
            "Some builds didn't complete",
            "The artifacts of successful builds",
            "post-processed",
            "cleanup provisioner",
        ] {
            ran.expect_not(absent);
        }
    }
    place.leftovers().expect_none();
}
