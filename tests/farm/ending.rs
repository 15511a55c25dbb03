//! How an agent ends, and what it says of itself.

use crate::Farm;
use crate::plans::waiting;

#[test]
fn the_first_signal_drains_and_waits_for_what_runs() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.coordinator.want(1, &waiting(&farm.place.work()));
    farm.until("the task to begin", || farm.coordinator.heard(1, "begun"));
    agent.signal("TERM");
    farm.until("the agent to drain", || farm.coordinator.draining());
    assert_eq!(farm.coordinator.held(), "1 running");
    farm.let_go();
    agent.finish().expect_code(0);
    assert_eq!(farm.coordinator.end(1).unwrap(), "succeeded");
    assert!(farm.coordinator.left(), "it said goodbye");
    farm.expect_nothing_left();
}

#[test]
fn the_second_signal_hands_over_to_the_next_agent() {
    let farm = Farm::new();
    let mut agent = farm.agent();
    farm.coordinator.want(1, &waiting(&farm.place.work()));
    farm.until("the task to begin", || farm.coordinator.heard(1, "begun"));
    agent.signal("TERM");
    farm.until("the agent to drain", || farm.coordinator.draining());
    agent.signal("TERM");
    agent.wait_for("1 attempts go on");
    agent.finish().expect_code(0);
    assert_eq!(farm.attempts().len(), 1);
    let agent = farm.agent();
    farm.let_go();
    farm.until("the task to end", || farm.coordinator.end(1).is_some());
    assert_eq!(farm.coordinator.end(1).unwrap(), "succeeded");
    agent.signal("TERM");
    agent.finish().expect_code(0);
    farm.expect_nothing_left();
}

#[test]
fn an_agent_that_is_asked_to_drain_stays_and_may_be_asked_to_go_on() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.until("the agent to come", || farm.coordinator.streams().0 == 1);
    farm.coordinator.drain(true);
    farm.until("the agent to drain", || farm.coordinator.draining());
    farm.coordinator.drain(false);
    farm.until("the agent to go on", || !farm.coordinator.draining());
    agent.signal("TERM");
    agent.finish().expect_code(0);
    farm.expect_nothing_left();
}

#[test]
fn two_agents_do_not_share_a_run_directory() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.until("the agent to come", || farm.coordinator.streams().0 == 1);
    farm.agent().finish().expect_code(1).expect("another agent works in ");
    let hello = farm.coordinator.hello();
    assert_eq!((hello.name.as_str(), hello.slots), ("a1", 4));
    assert!(hello.cpus > 0 && hello.memory_mib > 0, "{hello:?}");
    assert!(hello.machine.tools.contains_key("qemu-img"), "{:?}", hello.machine);
    assert!(hello.machine.accelerators.contains(&"tcg".to_owned()), "{:?}", hello.machine);
    agent.signal("TERM");
    agent.finish().expect_code(0);
}
