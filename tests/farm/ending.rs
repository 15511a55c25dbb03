//! How an agent ends, and what it says of itself.

use std::path::Path;

use kiln_plan::bundle_root::BUNDLE_ROOT;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::bundle::{BundleFiles, Entry};

use crate::plans::{script as script_in, waiting};
use crate::scene::Farm;

#[test]
fn the_first_signal_drains_and_waits_for_what_runs() {
    let farm = Farm::new();
    let agent = farm.agent();
    farm.begin(&waiting(&farm.place.work()));
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
    farm.begin(&waiting(&farm.place.work()));
    agent.signal("TERM");
    farm.until("the agent to drain", || farm.coordinator.draining());
    agent.signal("TERM");
    agent.wait_for("1 attempts go on");
    agent.finish().expect_code(0);
    assert_eq!(farm.attempts().len(), 1);
    let agent = farm.agent();
    farm.let_go();
    assert_eq!(farm.end(), "succeeded");
    farm.dismiss(agent);
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
    farm.dismiss(agent);
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
    assert!(hello.disk_mib > 0 && hello.arch == std::env::consts::ARCH, "{hello:?}");
    assert!(hello.tools.contains_key("qemu-img"), "{:?}", hello.tools);
    agent.signal("TERM");
    agent.finish().expect_code(0);
}

#[test]
fn a_template_comes_with_its_files() {
    let farm = Farm::new();
    let mut files = BundleFiles::default();
    let script =
        Entry::File { contents: b"#!/bin/sh\necho from $(cat beside)".to_vec().into(), executable: true };
    files.add("images/run.sh", script).unwrap();
    files
        .add("images/beside", Entry::File { contents: b"the bundle".to_vec().into(), executable: false })
        .unwrap();
    farm.coordinator.keep_bundle(&files);
    let agent = farm.agent();
    let root = format!("{BUNDLE_ROOT}/images");
    let mut plan = script_in(Path::new(&root), &["./run.sh"]);
    plan.facts.working_dir = root;
    plan.bundle = Some(files.digest());
    farm.coordinator.want(1, &plan);
    assert_eq!(farm.end(), "succeeded", "{}", farm.coordinator.words(1));
    assert!(farm.coordinator.heard(1, "from the bundle"), "{}", farm.coordinator.words(1));
    plan.bundle = Some(Fingerprint::of_bytes(b"another"));
    farm.coordinator.want(2, &plan);
    farm.until("the second task to end", || farm.coordinator.end(2).is_some());
    let end = farm.coordinator.end(2).unwrap();
    assert!(end.starts_with("failed by Farm: cannot fetch the files of the template: "), "{end}");
    farm.dismiss(agent);
}

#[test]
fn attempts_of_roots_agent_have_networks_of_their_own() {
    let farm = Farm::new();
    let agent = farm.agent();
    // Both listen on one port of the loopback, and see no interface of the machine's.
    let listen = "python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 47017)); print(\"listening\", flush=True); \
                  import os, time\nwhile not os.path.exists(\"go\"): time.sleep(0.05)'";
    for epoch in [1, 2] {
        farm.coordinator.want(epoch, &script_in(&farm.place.work(), &["ip route show default", listen]));
        farm.until("the agent to come", || farm.coordinator.streams().0 == 1);
        if farm.coordinator.hello().labels["isolation"] != "network+cgroup" {
            assert!(!is_root(), "install-tools.sh installs ip and nft");
            return;
        }
        farm.until("the task to listen", || farm.coordinator.heard(epoch, "listening"));
        assert!(farm.coordinator.heard(epoch, "default via 10.213."), "{}", farm.coordinator.words(epoch));
    }
    farm.let_go();
    farm.until("both to end", || farm.coordinator.end(1).is_some() && farm.coordinator.end(2).is_some());
    farm.dismiss(agent);
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("\nUid:\t0\t0"))
}
