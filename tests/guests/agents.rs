//! Guests of a farm's agent: they outlive it, and nothing outlives them.

use kiln_tests::guest;

use super::place;
use super::plans;
use super::scene::Farm;

#[test]
fn a_guest_goes_on_while_its_agent_is_killed_and_started_again() {
    let farm = Farm::at(place());
    let _turn = guest::turn(1);
    let agent = farm.agent();
    farm.coordinator.want(1, &plans::guest(&guest::file("small.qcow2")));
    farm.until("the guest to boot", || farm.coordinator.heard(1, "Waiting for SSH"));
    let qemu = farm.place.leftovers().process_ids("qemu-system");
    assert_eq!(qemu.len(), 1);
    agent.kill();
    let agent = farm.agent();
    farm.until("the agent to come back", || farm.coordinator.streams() == (2, 1));
    assert_eq!(farm.coordinator.held_at_first(), "1 running");
    farm.until("the task to end", || farm.coordinator.end(1).is_some());
    assert_eq!(farm.coordinator.end(1).unwrap(), "succeeded", "{}", farm.coordinator.words(1));
    assert!(farm.coordinator.heard(1, "in the guest"), "{}", farm.coordinator.words(1));
    agent.signal("TERM");
    agent.finish().expect_code(0);
    farm.expect_nothing_left();
}

#[test]
fn the_guest_of_a_killed_attempt_is_ended() {
    let farm = Farm::at(place());
    let _turn = guest::turn(1);
    let agent = farm.agent();
    farm.coordinator.want(1, &plans::guest(&guest::file("small.qcow2")));
    farm.until("the guest to boot", || farm.coordinator.heard(1, "Waiting for SSH"));
    for pid in farm.attempts() {
        let killed = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        assert!(killed.expect("kill is installed").success());
    }
    farm.until("the task to end", || farm.coordinator.end(1).is_some());
    let end = farm.coordinator.end(1).unwrap();
    assert!(end.starts_with("failed by Machine: the attempt broke off"), "{end}");
    assert!(farm.place.leftovers().process_ids("qemu-system").is_empty());
    agent.signal("TERM");
    agent.finish().expect_code(0);
    farm.expect_nothing_left();
}
