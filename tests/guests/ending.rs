//! How a build on a genuine guest ends early: signals, and deaths of kiln and of QEMU in every phase.

use std::os::unix::fs::PermissionsExt;

use kiln_tests::guest;
use kiln_tests::program::Place;
use kiln_tests::server::{Manner, Server};
use kiln_tests::source::{Source, shell};

use super::place;

/// A guest that does nothing and is waited for, with nothing to wait for.
fn waiting(place: &Place) -> Source {
    let disk = place.work().join("waits.raw");
    guest::disk_that_waits(&disk);
    Source::of_disk("a", &disk).text("disk_size", "2M").with_login()
}

#[track_caller]
fn expect_nothing_left(place: &Place) {
    place.leftovers().expect_none();
    assert!(!place.work().join("output-a").exists(), "the output directory is left");
}

/// The next run in a place where one was killed: it removes what is left, and says so.
#[track_caller]
fn next_run_removes(place: &Place, told: &[&str]) {
    place.write(
        "next.pkr.hcl",
        "source \"null\" \"n\" {\n  communicator = \"none\"\n}\nbuild {\n  sources = [\"null.n\"]\n}\n",
    );
    let ran = place.run(["build", "next.pkr.hcl"]);
    ran.expect_code(0);
    for text in told {
        ran.expect(&format!("Left by an earlier run: {text}"));
    }
    expect_nothing_left(place);
}

#[test]
fn a_signal_during_the_boot_ends_the_guest() {
    let place = place();
    place.write("t.pkr.hcl", waiting(&place).template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    running.signal("INT");
    let ran = running.finish();
    ran.expect_code(1).expect("Cleanly cancelled builds after being interrupted.");
    expect_nothing_left(&place);
}

#[test]
fn two_signals_in_a_row_during_the_boot_leave_nothing() {
    let place = place();
    place.write("t.pkr.hcl", waiting(&place).template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    running.signal("INT");
    running.signal("TERM");
    running.finish().expect_code(1);
    expect_nothing_left(&place);
}

#[test]
fn a_killed_qemu_is_told_as_the_machines_doing() {
    let place = place();
    place.write("t.pkr.hcl", waiting(&place).template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    for pid in place.leftovers().process_ids("qemu-system") {
        let killed = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        assert!(killed.expect("kill is installed").success());
    }
    let ran = running.finish();
    ran.expect_code(1).expect("the guest went away while SSH was being waited for: QEMU ended with ");
    expect_nothing_left(&place);
}

#[test]
fn a_kiln_killed_while_downloading_leaves_nothing_for_good() {
    let place = place();
    let slow = Server::start(Manner::Slow { of: 1 << 20 });
    let source = waiting(&place).text("iso_url", &slow.url("slow.raw"));
    place.write("t.pkr.hcl", source.template(""));
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Fetching http://");
    kiln_tests::wait::until("a request", std::time::Duration::from_secs(30), || {
        (slow.requests() > 0).then_some(())
    });
    running.kill();
    next_run_removes(&place, &[]);
}

#[test]
fn a_kiln_killed_during_the_boot_leaves_a_qemu_that_the_next_run_stops() {
    let place = place();
    place.write("t.pkr.hcl", waiting(&place).template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    running.kill();
    next_run_removes(&place, &["stopped the process \"qemu-system-x86_64\"", "removed the directory"]);
}

/// The kernel takes no long paths for sockets, so that these lie elsewhere then.
#[test]
fn sockets_of_a_killed_kiln_are_removed_wherever_they_are() {
    let mut place = place();
    let state = place.home().join("long".repeat(20));
    place.set("XDG_STATE_HOME", state.display().to_string());
    place.write("t.pkr.hcl", waiting(&place).template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    let arguments = super::qemu_arguments(&place);
    let socket = arguments.iter().find_map(|a| a.strip_prefix("socket,id=kiln-qmp,path="));
    let socket = std::path::Path::new(socket.expect("a monitor")).to_owned();
    let directory = socket.parent().expect("it lies somewhere");
    assert!(directory.exists() && !directory.starts_with(&state), "{}", directory.display());
    running.kill();
    next_run_removes(&place, &["stopped the process \"qemu-system-x86_64\""]);
    assert!(!directory.exists(), "{} is left", directory.display());
}

#[test]
fn a_kiln_killed_while_provisioning_leaves_nothing_after_the_next_run() {
    let place = place();
    let rest = shell(&["echo begun", "sleep 200"]);
    place.write("t.pkr.hcl", Source::small("a").template(&rest));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> qemu.a: begun");
    running.kill();
    next_run_removes(&place, &["stopped the process \"qemu-system-x86_64\"", "removed the directory"]);
}

#[test]
fn a_kiln_killed_while_converting_leaves_nothing_after_the_next_run() {
    let mut place = place();
    // A qemu-img that takes its time to convert.
    let slow = place.write("bin/qemu-img", "#!/bin/sh\nlast=$(eval echo \\$$#)\n[ \"$1\" != convert ] || [ \"${last%.convert}\" = \"$last\" ] || { echo half >\"$last\"; sleep 200; }\nexec /usr/bin/qemu-img \"$@\"\n");
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).expect("the place is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    place.set("PATH", format!("{}:{path}", place.work().join("bin").display()));
    let disk = place.work().join("off.raw");
    guest::disk_that_powers_off(&disk);
    place.write("t.pkr.hcl", Source::of_disk("a", &disk).text("disk_size", "2M").template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Compacting the disk");
    let half = place.work().join("output-a/packer-a.convert");
    kiln_tests::wait::until("half a disk", std::time::Duration::from_secs(30), || {
        half.exists().then_some(())
    });
    running.kill();
    next_run_removes(&place, &["stopped the process \"qemu-img\"", "removed the directory"]);
}
