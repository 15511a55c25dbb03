//! Units of systemd are such that systemd takes them, and have what the daemons rely on.

use std::process::Command;

use kiln_tests::tree;

use super::{deployed, place};

#[test]
fn systemd_takes_the_units() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        // Nothing else can tell.
        return;
    };
    assert!(version.status.success());
    let place = place();
    for unit in ["kiln-coordinator.service", "kiln-agent.service"] {
        let (_, text) = deployed(&format!("systemd/{unit}"));
        let path = place.write(unit, text.replace("/usr/bin/kiln", env!("CARGO_BIN_EXE_kiln")));
        let out = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        let ours: Vec<&str> = told.lines().filter(|line| line.contains("kiln")).collect();
        assert!(out.status.success() && ours.is_empty(), "{unit}: {told}");
    }
}

#[test]
fn units_have_what_the_daemons_rely_on() {
    for (unit, needed) in [
        ("kiln-coordinator.service", ["Type=notify", "Restart=always", "User=kiln", "NoNewPrivileges=yes"]),
        ("kiln-agent.service", ["Type=notify", "Restart=always", "KillMode=process", "OOMPolicy=continue"]),
    ] {
        let (path, text) = deployed(&format!("systemd/{unit}"));
        for line in needed {
            assert!(text.lines().any(|l| l == line), "{} lacks {line}", path.display());
        }
        assert!(
            !text.contains("PrivateTmp=yes") || unit != "kiln-agent.service",
            "attempts outlive the agent's /tmp"
        );
    }
}

#[test]
fn scripts_of_images_are_sound() {
    let script = tree::top().join("deploy/container/kiln-settle.sh");
    let out = Command::new("sh").arg("-n").arg(&script).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
