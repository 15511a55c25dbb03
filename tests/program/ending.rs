//! How a run ends early: signals, and death.

use std::time::Duration;

use kiln_tests::program::Place;
use kiln_tests::wait;

use super::place;

const SLEEPER: &str = r#"
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = ["echo $$ > pid", "trap '' TERM", "echo begun", "while :; do sleep 0.2; done"]
  }
}
"#;

fn sleeper() -> Place {
    let place = place();
    place.write("t.pkr.hcl", SLEEPER);
    place
}

#[test]
fn the_first_signal_cancels_cleanly() {
    let place = sleeper();
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> null.a: begun");
    running.signal("INT");
    let ran = running.finish();
    ran.expect_code(1).expect("Cancelling build after receiving interrupt");
    ran.expect("Cleanly cancelled builds after being interrupted.");
    assert!(!ran.stdout.contains("Some builds didn't complete"), "{}", ran.stdout);
    place.leftovers().expect_none();
}

#[test]
fn two_signals_in_a_row_end_it_at_once_and_leave_nothing() {
    let place = sleeper();
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> null.a: begun");
    running.signal("TERM");
    running.wait_for("receiving terminated");
    running.signal("INT");
    running.finish().expect_code(1).expect("Leaving at once");
    place.leftovers().expect_none();
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_which_says_so() {
    let place = sleeper();
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> null.a: begun");
    running.signal("KILL");
    drop(running);
    assert!(!place.leftovers().processes().is_empty(), "the script goes on without its parent");
    place.write("u.pkr.hcl", SLEEPER.replace("while :; do sleep 0.2; done", "exit 0"));
    let ran = place.run(["build", "u.pkr.hcl"]);
    ran.expect_code(0).expect("Left by an earlier run: stopped the process");
    place.leftovers().expect_none();
}

#[test]
fn a_run_beside_a_living_one_leaves_it_alone() {
    let place = sleeper();
    let mut first = place.start(["build", "t.pkr.hcl"]);
    first.wait_for("==> null.a: begun");
    place.write("u.pkr.hcl", SLEEPER.replace("while :; do sleep 0.2; done", "exit 0"));
    let second = place.run(["build", "u.pkr.hcl"]);
    second.expect_code(0);
    assert!(!second.stdout.contains("Left by an earlier run"), "{}", second.stdout);
    first.signal("INT");
    wait::until("the first run to end", Duration::from_secs(30), || {
        first.printed().contains("Cleanly").then_some(())
    });
    first.finish().expect_code(1);
    place.leftovers().expect_none();
}
