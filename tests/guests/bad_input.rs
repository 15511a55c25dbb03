//! What can't go well on a genuine machine: a clear message, exit code 1, nothing left behind.

use std::net::TcpListener;
use std::path::Path;

use kiln_tests::guest;
use kiln_tests::program::{Place, Ran};
use kiln_tests::server::{Manner, Server};
use kiln_tests::source::{Source, shell};

use super::place;

/// Runs a template that must fail, and looks for what it may have left.
#[track_caller]
fn fails(place: &Place, template: &str) -> Ran {
    place.write("t.pkr.hcl", template);
    let ran = place.run(["build", "t.pkr.hcl"]);
    expect_failure(place, &ran);
    ran
}

#[track_caller]
fn expect_failure(place: &Place, ran: &Ran) {
    ran.expect_code(1);
    let output: Vec<_> = std::fs::read_dir(place.work()).into_iter().flatten().flatten().collect();
    let left = output.iter().filter(|e| e.file_name().to_string_lossy().starts_with("output-")).count();
    assert_eq!(left, 0, "an output directory is left: {output:?}");
    place.leftovers().expect_none();
}

/// A guest that does nothing, without a communicator.
fn waiting(place: &Place) -> Source {
    let disk = place.work().join("waits.raw");
    guest::disk_that_waits(&disk);
    Source::of_disk("a", &disk).text("disk_size", "2M")
}

#[test]
fn a_missing_qemu_is_told_with_what_to_install() {
    let mut place = place();
    let template = waiting(&place).template("");
    place.set("PATH", "/nowhere");
    let ran = fails(&place, &template);
    ran.expect("cannot find the program \"qemu-system-x86_64\"").expect("Install QEMU");
}

#[test]
fn a_wrong_checksum_is_told_with_both_sums() {
    let place = place();
    let wanted = "0".repeat(64);
    let template = waiting(&place).text("iso_checksum", &format!("sha256:{wanted}")).template("");
    fails(&place, &template).expect("the sha256 checksum is ").expect(&format!("but {wanted} was expected"));
}

#[test]
fn downloads_that_fail_are_told_by_their_reason() {
    let missing = Server::start(Manner::Status(404));
    let gone = format!("http://127.0.0.1:{}/sums", kiln_tests::sshd::free_port());
    let cut = Server::start(Manner::Cut { sent: 1000, of: 5000 });
    let place = place();
    let image = waiting(&place);
    let cases = [
        ("404", image.clone().text("iso_url", &missing.url("a.iso")), "the server answered 404"),
        ("unreachable sums", image.clone().text("iso_checksum", &format!("file:{gone}")), gone.as_str()),
        ("cut", image.text("iso_url", &cut.url("a.iso")), "the connection was cut"),
    ];
    for (name, source, printed) in cases {
        let ran = fails(&place, &source.template(""));
        assert!(ran.all().contains(printed), "{name}: {}", ran.all());
    }
    assert!(cut.requests() > 1, "a cut download is tried again");
}

#[test]
fn exhausted_ports_are_told_with_their_range() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let port = stranger.local_addr().expect("it is bound").port().to_string();
    for (option, extra) in [("host_port", ""), ("http_port", r#"{ "/a" = "b" }"#)] {
        let place = place();
        let mut source = waiting(&place).with_login();
        source = source.set(&format!("{option}_min"), &port).set(&format!("{option}_max"), &port);
        if !extra.is_empty() {
            source = source.set("http_content", extra);
        }
        let ran = fails(&place, &source.template(""));
        ran.expect(&format!("the range {port}-{port} is exhausted"));
    }
}

#[test]
fn a_full_disk_is_told_with_its_hint() {
    let place = place();
    let small = place.work().join("small");
    std::fs::create_dir(&small).expect("the place is ours");
    let _mounted = Tmpfs::mount(&small, "8M");
    let template = Source::small("a").text("output_directory", "small/output").template("");
    let _turn = guest::turn(1);
    let ran = fails(&place, &template);
    ran.expect("No space left on device");
    assert!(!small.join("output").exists());
}

/// A small file system, until it is dropped. The tests run as root, as they must for other reasons too.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        let options = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "kiln-test"])
            .arg(at)
            .status();
        assert!(mounted.expect("mount is installed").success(), "a file system can only be mounted by root");
        Self(at)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_guest_in_which_ssh_never_comes_is_told_with_screen_serial_and_fetches() {
    let place = place();
    let template = Source::of_disk("a", &guest::file("small-prompt.qcow2"))
        .with_login()
        .text("ssh_password", "another")
        .text("ssh_timeout", "12s")
        .set("http_content", r#"{ "/answers" = "yes" }"#)
        .template("");
    let _turn = guest::turn(1);
    let ran = fails(&place, &template);
    ran.expect("Timeout waiting for SSH after 12s").expect("the guest is running, ").expect("serial: boot:");
    ran.expect("the guest never fetched anything from the HTTP server");
    let path = ran.stdout.lines().find_map(|l| l.trim().strip_prefix("the guest's screen: "));
    let picture = std::fs::read(path.expect("a path")).expect("a screenshot");
    assert!(picture.starts_with(b"\x89PNG"), "the screenshot is no PNG");
}

#[test]
fn a_wrong_password_ends_after_the_given_attempts() {
    let place = place();
    let source = Source::small("a").text("ssh_password", "wrong").set("ssh_handshake_attempts", "2");
    let _turn = guest::turn(1);
    fails(&place, &source.template("")).expect("logins over SSH: authentication failed as \"root\"");
}

#[test]
fn a_script_that_exits_3_fails_the_build_after_cleaning_up() {
    let place = place();
    let rest = shell(&["exit 3"])
        + "  error-cleanup-provisioner \"shell\" {\n    inline = [\"echo cleaned up\"]\n  }\n";
    let _turn = guest::turn(1);
    let ran = fails(&place, &Source::small("a").template(&rest));
    ran.expect("Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
    ran.expect("==> qemu.a: cleaned up").expect("Deleting output directory...");
}

#[test]
fn a_guest_that_powers_off_in_mid_provision_is_told_as_such() {
    let place = place();
    let rest = shell(&["echo begun", "poweroff", "sleep 100"]) + &shell(&["echo never"]);
    let _turn = guest::turn(1);
    let ran = fails(&place, &Source::small("a").template(&rest));
    ran.expect("begun").expect_not("==> qemu.a: never").expect("the guest powered off");
}
