//! Disks: formats, interfaces, sizes, overlays, compression; and images that boot again.

use std::path::Path;

use kiln_tests::guest;
use kiln_tests::source::{Source, shell, template};

use super::place;

/// What `qemu-img info` knows of an image.
fn image(path: &Path) -> serde_json::Value {
    let out = std::process::Command::new("qemu-img").args(["info", "--output=json"]).arg(path).output();
    let out = out.expect("qemu-img is missing; ./test.sh installs it");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

const MIB: u64 = 1 << 20;

#[test]
fn raw_disks_are_resized_and_joined_by_further_ones() {
    let place = place();
    let source = Source::small("raw")
        .text("format", "raw")
        .text("disk_size", "1700")
        .set("disk_additional_size", r#"["64M", "10485760"]"#)
        .without("shutdown_command");
    let look = shell(&["cat /proc/partitions", "echo kept > /root/kept", "sync"]);
    place.write("t.pkr.hcl", source.template(&look));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect("Cutting the guest's power").expect_not("Compacting the disk");
    ran.expect("1740800 vda\n").expect(" 65536 vdb\n").expect(" 10240 vdc\n");
    let output = place.work().join("output-raw");
    for (name, mib) in [("packer-raw", 1700), ("packer-raw-1", 64), ("packer-raw-2", 10)] {
        let found = image(&output.join(name));
        assert_eq!(found["format"], "raw", "{name}");
        assert_eq!(found["virtual-size"], mib * MIB, "{name}");
    }
    place.leftovers().expect_none();
    let disk = output.join("packer-raw").display().to_string();
    // A raw image becomes qcow2, and what was provisioned is in it.
    let again = Source::small("again").text("iso_url", &disk).set("skip_resize_disk", "true");
    place.write("u.pkr.hcl", again.template(&shell(&["cat /root/kept"])));
    place.run(["build", "u.pkr.hcl"]).expect_code(0).expect("==> qemu.again: kept");
    let found = image(&place.work().join("output-again/packer-again"));
    assert_eq!((&found["format"], &found["virtual-size"]), (&"qcow2".into(), &(1700 * MIB).into()));
}

#[test]
fn an_overlay_keeps_to_its_backing_file_and_is_replaced_by_force() {
    let place = place();
    let source = Source::small("over")
        .set("use_backing_file", "true")
        .set("qemuargs", r#"[["-m", "384M"], ["-smp", "2"]]"#)
        .set("vnc_use_password", "true")
        .text("vnc_password", "sesame")
        .text("memory", "700");
    let template = source.template(&shell(&["nproc", "free -m", "echo kept > /root/kept"]));
    place.write("t.pkr.hcl", &template);
    place.write("output-over/old", "of an earlier build");
    place.run(["build", "t.pkr.hcl"]).expect_code(1).expect("'output-over' already exists");
    assert_eq!(place.read("output-over/old"), "of an earlier build");
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "-force", "t.pkr.hcl"]);
    running.wait_for("Waiting for SSH");
    let arguments = super::qemu_arguments(&place);
    assert!(arguments.iter().any(|a| a.ends_with(",password=on")), "{arguments:?}");
    assert!(!arguments.iter().any(|a| a.contains("sesame") || a == "700M"), "{arguments:?}");
    let ran = running.finish();
    ran.expect_code(0).expect("==> qemu.over: 2\n").expect_not("sesame").expect_not("Compacting the disk");
    assert!(!place.work().join("output-over/old").exists());
    let overlay = place.work().join("output-over/packer-over");
    let backing = guest::file("small.qcow2").canonicalize().expect("it is there");
    assert_eq!(image(&overlay)["full-backing-filename"], backing.display().to_string());
    place.leftovers().expect_none();
}

#[test]
fn two_builds_at_once_have_ports_of_their_own() {
    let place = place();
    let both = [
        Source::small("ide").text("disk_interface", "ide").set("skip_compaction", "true"),
        Source::small("scsi").text("disk_interface", "virtio-scsi").set("disk_compression", "true"),
    ];
    place.write("t.pkr.hcl", template(&both, &shell(&["ls /sys/block"])));
    let _turn = guest::turn(2);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect("Build 'qemu.ide' finished").expect("Build 'qemu.scsi' finished");
    let mut ports: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|l| l.strip_suffix(" of this machine leads to the guest"))
        .filter_map(|l| l.rsplit_once("Port ").map(|(_, port)| port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 2, "{ports:?}");
    let size = |name: &str| {
        std::fs::metadata(place.work().join(format!("output-{name}/packer-{name}"))).map_or(0, |m| m.len())
    };
    assert!(size("scsi") < size("ide"), "compressed {} uncompressed {}", size("scsi"), size("ide"));
    place.leftovers().expect_none();
}

#[test]
fn every_interface_from_which_the_firmware_boots_is_booted_from() {
    let place = place();
    let disk = place.work().join("off.raw");
    guest::disk_that_powers_off(&disk);
    let all = ["ide", "virtio", "virtio-scsi"];
    let sources = all.iter().chain(["scsi"].iter()).map(|interface| {
        Source::of_disk(interface, &disk).text("disk_interface", interface).text("disk_size", "2M")
    });
    place.write("t.pkr.hcl", template(&sources.collect::<Vec<_>>(), ""));
    let _turn = guest::turn(2);
    let ran = place.run(["build", "-parallel-builds=2", "t.pkr.hcl"]);
    // QEMU's PC has lost its SCSI controller; that is told with what to write instead.
    ran.expect_code(1).expect("does not support if=scsi").expect("disk_interface = \"virtio-scsi\"");
    for interface in all {
        ran.expect(&format!("Build 'qemu.{interface}' finished"));
    }
    place.leftovers().expect_none();
}
