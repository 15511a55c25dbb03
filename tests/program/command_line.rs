//! Words, exit codes and the shapes of output that scripts depend on.

use super::place;

const HELLO: &str = r#"
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = ["echo hello from $PACKER_BUILD_NAME"]
  }
}
"#;

#[test]
fn exit_codes_are_packers() {
    let place = place();
    place.write("t.pkr.hcl", HELLO);
    let cases: [(&[&str], i32); 9] = [
        (&[], 127),
        (&["bogus"], 127),
        (&["version"], 0),
        (&["-v"], 0),
        (&["build", "-h"], 0),
        (&["build", "-bogus", "t.pkr.hcl"], 1),
        (&["build"], 1),
        (&["validate", "t.pkr.hcl"], 0),
        (&["build", "t.pkr.hcl"], 0),
    ];
    for (words, code) in cases {
        assert_eq!(place.run(words).code(), code, "{words:?}");
    }
}

#[test]
fn a_build_prints_packers_lines() {
    let place = place();
    place.write("t.pkr.hcl", HELLO);
    let ran = place.run(["build", "-color=false", "t.pkr.hcl"]);
    ran.expect_code(0).expect("==> null.a: hello from a\n").expect("Build 'null.a' finished after ");
    ran.expect("==> Builds finished. The artifacts of successful builds are:\n--> null.a: ");
    place.leftovers().expect_none();
}

#[test]
fn a_machine_reads_the_same() {
    let place = place();
    place.write("t.pkr.hcl", HELLO);
    let ran = place.run(["build", "-machine-readable", "t.pkr.hcl"]);
    ran.expect_code(0).expect(",,ui,say,==> null.a: hello from a\n").expect(",null.a,artifact,0,end\n");
    assert!(
        ran.stdout.lines().all(|l| l.split(',').next().is_some_and(|t| t.parse::<u64>().is_ok())),
        "{}",
        ran.stdout
    );
}

#[test]
fn colour_is_there_even_in_a_pipe_unless_told_otherwise() {
    let mut place = place();
    place.set("PACKER_NO_COLOR", "");
    place.write("t.pkr.hcl", HELLO);
    assert!(place.run(["build", "t.pkr.hcl"]).stdout.contains("\u{1b}[1;32m==> null.a"));
    assert!(!place.run(["build", "-color=false", "t.pkr.hcl"]).stdout.contains('\u{1b}'));
}
