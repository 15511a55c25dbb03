//! Getting a guest to boot: typing at its prompt, installing from an ISO, UEFI, CDs and floppies.

use kiln_tests::guest;
use kiln_tests::source::{Source, shell};

use super::place;

#[test]
fn a_typed_boot_command_makes_the_guest_fetch_its_script_from_us() {
    let place = place();
    let source = Source::of_disk("typed", &guest::file("small-prompt.qcow2"))
        .with_login()
        .text("shutdown_command", "poweroff")
        .set("http_content", r#"{ "/script" = "echo fetched by ${"$(hostname)"} > /root/fetched" }"#)
        .text("boot_wait", "2s")
        .set("boot_command", r#"["linux kiln.fetch=http://{{ .HTTPIP }}:{{ .HTTPPort }}/script<enter>"]"#);
    let look = shell(&[
        "cat /proc/cmdline",
        "for i in 1 2 3 4 5 6 7 8 9; do test -s /root/fetched && break; sleep 1; done",
        "cat /root/fetched",
    ]);
    place.write("t.pkr.hcl", source.template(&look));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect("Typing the boot command").expect("Serving HTTP to the guest on port");
    // The password is "kiln", which hides that word wherever it turns up.
    ran.expect(".fetch=http://10.0.2.2:").expect("==> qemu.typed: fetched by ");
    place.leftovers().expect_none();
}

#[test]
fn an_iso_installs_the_disk_from_which_the_guest_restarts() {
    let place = place();
    let source = Source::of_iso("installed", &guest::file("small.iso"))
        .with_login()
        .text("shutdown_command", "poweroff")
        .text("boot_wait", "3s")
        .set("boot_command", r#"["install<enter>"]"#)
        .text("output_directory", "made/here")
        .text("vm_name", "disk.qcow2");
    place.write("t.pkr.hcl", source.template(&shell(&["mount | grep ' / '"])));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect("Starting the guest from its CD").expect("/dev/vda2 on / ");
    assert!(place.work().join("made/here/disk.qcow2").exists());
    place.leftovers().expect_none();
}

#[test]
fn a_guest_boots_by_uefi_and_its_variables_are_kept() {
    let place = place();
    let source = Source::small("efi")
        .set("efi_boot", "true")
        .text("efi_firmware_code", "/usr/share/OVMF/OVMF_CODE_4M.fd")
        .text("efi_firmware_vars", "/usr/share/OVMF/OVMF_VARS_4M.fd")
        .text("machine_type", "q35")
        .text("disk_interface", "virtio");
    place.write("t.pkr.hcl", source.template(&shell(&["test -d /sys/firmware/efi && echo by UEFI"])));
    let _turn = guest::turn(1);
    place.run(["build", "t.pkr.hcl"]).expect_code(0).expect("==> qemu.efi: by UEFI");
    assert!(place.work().join("output-efi/efivars.fd").exists());
    place.leftovers().expect_none();
}

#[test]
fn a_guest_without_communicator_finds_its_cd_and_floppy_and_ends_by_itself() {
    let place = place();
    place.write("floppy/answers.txt", "from a directory");
    let source = Source::of_disk("media", &guest::file("small.qcow2"))
        .set("cd_content", r#"{ "kiln.sh" = "cat sub/words >/root/words; sync; sleep 1; poweroff", "sub/words" = "from the CD" }"#)
        .text("cd_label", "cidata")
        .set("floppy_content", r#"{ "kiln.sh" = "echo from the floppy" }"#)
        .set("floppy_dirs", r#"["floppy"]"#)
        .set("disk_compression", "true");
    place.write("t.pkr.hcl", source.template(""));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("Waiting for the guest to power itself off");
    // The small guest's kernel has no driver for floppies, but the one in QEMU's drive can be read from here.
    let arguments = super::qemu_arguments(&place);
    let floppy =
        arguments.iter().skip_while(|a| *a != "-fda").nth(1).expect("there is a floppy drive").clone();
    let listed = std::process::Command::new("mdir").args(["-b", "-/", "-i", &floppy, "::"]).output();
    let listed =
        String::from_utf8_lossy(&listed.expect("mtools are missing; ./test.sh installs them").stdout)
            .to_lowercase();
    assert!(listed.contains("kiln.sh") && listed.contains("answers.txt"), "{listed}");
    running.finish().expect_code(0);
    place.leftovers().expect_none();
    let image = place.work().join("output-media/packer-media");
    let again = Source::small("again").text("iso_url", &image.display().to_string());
    place.write("u.pkr.hcl", again.template(&shell(&["cat /root/words"])));
    place.run(["build", "u.pkr.hcl"]).expect_code(0).expect("==> qemu.again: from the CD");
}
