//! Amounts to carry: many files, and a large one, there and back.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use kiln_tests::guest;
use kiln_tests::program::Place;
use kiln_tests::source::{Source, shell};

use super::place;

const LARGE: u64 = 1 << 30;

/// Files of a hundred directories, each with its own name in it.
fn write_many(place: &Place, count: usize) {
    for n in 0..count {
        place.write(&format!("many/{}/file {n}.txt", n % 100), format!("{n}\n"));
    }
}

/// A program's standard output.
fn said(program: &str, arguments: &[&str], directory: &Path) -> String {
    let out = Command::new(program).args(arguments).current_dir(directory).output().expect("it is installed");
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Carries `count` files there and back by one method.
fn carries_many(method: &str, count: usize) {
    let place = place();
    write_many(&place, count);
    let files = r#"
  provisioner "file" {
    source      = "many"
    destination = "/run"
  }
  provisioner "shell" {
    inline = ["find /run/many -type f | wc -l", "cat /run/many/*/* | sort -n | md5sum", "chmod 600 /run/many/7/*"]
  }
  provisioner "file" {
    direction   = "download"
    source      = "/run/many/"
    destination = "back/"
  }
"#;
    let source = Source::small("a").text("ssh_file_transfer_method", method).text("memory", "1024");
    place.write("t.pkr.hcl", source.template(files));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect(&format!("==> qemu.a: {count}\n"));
    let sum = said("sh", &["-c", "cat many/*/* | sort -n | md5sum"], &place.work());
    ran.expect(sum.trim());
    said("diff", &["-r", "many", "back/many"], &place.work());
    place.leftovers().expect_none();
}

#[test]
fn ten_thousand_files_go_there_and_back_by_scp() {
    carries_many("scp", 10_000);
}

#[test]
fn a_thousand_files_go_there_and_back_by_sftp() {
    carries_many("sftp", 1000);
}

#[test]
fn a_gigabyte_goes_there_and_back() {
    let place = place();
    let large = place.work().join("large");
    let file = std::fs::File::create(&large).expect("the place is ours");
    // Sparse, with something to compare at both ends.
    file.set_len(LARGE).expect("there is room");
    file.write_all_at(b"begin", 0).expect("there is room");
    file.write_all_at(b"end", LARGE - 3).expect("there is room");
    let rest = r#"
  provisioner "file" {
    source      = "large"
    destination = "/root/large"
  }
  provisioner "shell" {
    inline = ["stat -c 'size %s' /root/large", "head -c 5 /root/large; tail -c 3 /root/large"]
  }
  provisioner "file" {
    direction   = "download"
    source      = "/root/large"
    destination = "back"
  }
"#;
    let source = Source::small("a").text("ssh_file_transfer_method", "sftp").set("skip_compaction", "true");
    place.write("t.pkr.hcl", source.template(&(rest.to_owned() + &shell(&["rm /root/large"]))));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect(&format!("size {LARGE}\n")).expect("beginend");
    said("cmp", &["large", "back"], &place.work());
    place.leftovers().expect_none();
}
