//! Attempts outlive the daemon, and what is known of them outlives the coordinator.

use crate::plans::{SECRET, script, waiting};
use crate::scene::Farm;

#[test]
fn an_attempt_goes_on_while_its_agent_is_killed_and_is_taken_up_again() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
    let attempts = farm.attempts();
    assert_eq!(attempts.len(), 1);
    agent.kill();
    assert_eq!(farm.attempts(), attempts, "the attempt lives");
    let agent = farm.agent();
    farm.until("the agent to come back", || farm.coordinator.streams() == (2, 1));
    assert_eq!(farm.coordinator.held_at_first(), "1 running", "its first words");
    farm.let_go();
    assert_eq!(farm.end(), "succeeded");
    let words = farm.coordinator.words(1);
    assert_eq!((words.matches("begun").count(), words.matches("done").count()), (1, 1), "{words}");
    assert!(words.contains("it is <sensitive>"), "{words}");
    farm.dismiss(agent);
}

#[test]
fn what_ended_while_the_agent_was_away_is_told_by_the_next() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
    agent.kill();
    farm.let_go();
    farm.until("the attempt to end", || farm.attempts().is_empty());
    let agent = farm.agent();
    assert_eq!(farm.end(), "succeeded");
    assert!(farm.coordinator.heard(1, "done"), "{}", farm.coordinator.words(1));
    farm.dismiss(agent);
}

#[test]
fn an_attempt_that_is_killed_is_told_as_the_machines_doing_and_leaves_nothing() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&script(&farm.place.work(), &["echo begun", "while :; do sleep 0.1; done"]));
    for pid in farm.attempts() {
        kill(pid);
    }
    let end = farm.end();
    assert!(end.starts_with("failed by Machine: the attempt broke off"), "{end}");
    farm.dismiss(agent);
}

#[test]
fn both_killed_at_once_are_cleared_up_by_the_next_agent() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&script(&farm.place.work(), &["echo begun", "while :; do sleep 0.1; done"]));
    let attempts = farm.attempts();
    agent.kill();
    attempts.into_iter().for_each(kill);
    assert!(!farm.place.leftovers().processes().is_empty(), "the script goes on");
    let agent = farm.agent();
    let end = farm.end();
    assert!(end.starts_with("failed by Machine: the attempt broke off"), "{end}");
    farm.dismiss(agent);
}

#[test]
fn an_attempt_that_was_given_to_another_is_undone_by_the_next_agent() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
    agent.kill();
    farm.coordinator.withdraw(1);
    let agent = farm.agent();
    farm.until("the stale attempt to go", || {
        farm.attempts().is_empty() && farm.coordinator.held().is_empty()
    });
    assert_eq!(farm.coordinator.end(1), None, "nobody hears of it");
    farm.dismiss(agent);
}

#[test]
fn another_coordinator_is_told_all_that_is_not_durable() {
    let farm = Farm::new();
    farm.coordinator.make_nothing_durable();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
    let first = farm.coordinator.words(1);
    farm.coordinator.take_over();
    farm.until("the next coordinator to hear of it", || farm.coordinator.words(1) == first);
    farm.let_go();
    farm.until("the task to end", || farm.coordinator.end(1).is_some());
    let all = farm.coordinator.words(1);
    farm.coordinator.take_over();
    farm.until("the third to hear of what has ended", || farm.coordinator.words(1) == all);
    assert_eq!(farm.coordinator.held(), "");
    agent.signal("TERM");
    farm.coordinator.make_all_durable();
    agent.finish().expect_code(0);
    farm.expect_nothing_left();
}

#[test]
fn secrets_are_on_no_disk_while_a_task_runs() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
    let found = files(&farm.run_dir().join("attempts"));
    assert!(found.iter().any(|(path, _)| path.ends_with("about.json")), "{found:?}");
    let told: Vec<_> = found.iter().filter(|(_, text)| text.contains(SECRET)).map(|(path, _)| path).collect();
    assert!(told.is_empty(), "{told:?}");
    farm.coordinator.cancel(1);
    assert_eq!(farm.end(), "cancelled");
    farm.dismiss(agent);
}

/// All files below, with what they hold.
fn files(directory: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            all.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    all
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill is installed").success());
}
