//! Whole runs of the kiln program on genuine guests: the small guest, booted by QEMU without KVM where there is none.
//!
//! A boot takes seconds, so that several assertions share one. At most two guests run at once:
//! [`kiln_tests::guest::turn`]. Tests begin in the order of their names: `amounts` has the longest.

#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "guests/agents.rs"]
mod agents;
#[path = "guests/amounts.rs"]
mod amounts;
#[path = "guests/bad_input.rs"]
mod bad_input;
#[path = "guests/boot.rs"]
mod boot;
#[path = "guests/disks.rs"]
mod disks;
#[path = "guests/ending.rs"]
mod ending;
#[path = "guests/provisioning.rs"]
mod provisioning;
#[path = "guests/secrets.rs"]
mod secrets;

#[path = "farm/coordinator.rs"]
#[allow(dead_code, reason = "the tests of agents without guests need more of it")]
mod coordinator;
#[path = "farm/plans.rs"]
#[allow(dead_code, reason = "the tests of agents without guests need more of it")]
mod plans;
#[path = "farm/scene.rs"]
#[allow(dead_code, reason = "the tests of agents without guests need more of it")]
mod scene;

use kiln_tests::program::Place;

/// A fresh place to run the program in. What it finds out about the machine is shared by all.
fn place() -> Place {
    let mut place = Place::new(env!("CARGO_BIN_EXE_kiln"));
    place.set("PACKER_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/guests-cache"));
    place
}

/// The command line of the QEMU that runs in this place.
///
/// # Panics
/// When there isn't exactly one.
fn qemu_arguments(place: &Place) -> Vec<String> {
    let found = place.leftovers().process_ids("qemu-system");
    let [pid] = found[..] else { panic!("not one QEMU: {:?}", place.leftovers().processes()) };
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect()
}
