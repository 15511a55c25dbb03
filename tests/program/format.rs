//! `kiln fmt`: which files it looks at, what it prints, what it writes, how it ends.

use std::os::unix::fs::PermissionsExt as _;

use super::place;

const CROOKED: &str = "a=1\nlong=2 # c\n";
const CANONICAL: &str = "a    = 1\nlong = 2 # c\n";

#[test]
fn a_directory_is_formatted_without_what_is_hidden_or_below() {
    let place = place();
    let crooked = ["b.pkr.hcl", "a.auto.pkrvars.hcl", ".h.pkr.hcl", "#e.pkr.hcl#", "x.hcl", "sub/c.pkr.hcl"];
    for name in crooked {
        place.write(name, CROOKED);
    }
    place.write("d.pkr.hcl", CANONICAL);
    let ran = place.run(["fmt", "."]);
    assert_eq!((ran.code(), ran.all()), (0, "a.auto.pkrvars.hcl\nb.pkr.hcl\n".to_owned()));
    let canonical = crooked.map(|name| place.read(name) == CANONICAL);
    assert_eq!(canonical, [true, true, false, false, false, false]);
    let ran = place.run(["fmt", "-recursive", "./"]);
    assert_eq!((ran.code(), ran.all()), (0, "sub/c.pkr.hcl\n".to_owned()));
    assert_eq!(place.run(["fmt", "-recursive", "."]).all(), "");
}

#[test]
fn check_writes_nothing_and_ends_with_3() {
    let place = place();
    place.write("t.pkr.hcl", CROOKED);
    place.write("ok.pkr.hcl", CANONICAL);
    let ran = place.run(["fmt", "-check", "-var", "a=b", "t.pkr.hcl", "ok.pkr.hcl"]);
    assert_eq!((ran.code(), ran.all()), (3, "t.pkr.hcl\n".to_owned()));
    assert_eq!(place.read("t.pkr.hcl"), CROOKED);
    assert_eq!(place.run(["fmt", "-check", "ok.pkr.hcl"]).code(), 0);
}

#[test]
fn a_difference_is_shown_as_diff_does() {
    let place = place();
    place.write("t.pkr.hcl", CROOKED);
    let ran = place.run(["fmt", "-diff", "-write=false", "-machine-readable", "t.pkr.hcl"]);
    let expected = "t.pkr.hcl\n--- old/t.pkr.hcl\n+++ new/t.pkr.hcl\n@@ -1,2 +1,2 @@\n-a=1\n-long=2 # c\n+a    = 1\n+long = 2 # c\n";
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, expected));
    assert_eq!(place.read("t.pkr.hcl"), CROOKED);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = place();
    let table: [(&[&str], &str, i32, &str); 5] = [
        (&["fmt", "-"], CROOKED, 0, CANONICAL),
        (&["fmt", "-diff", "-"], CROOKED, 0, CANONICAL),
        (&["fmt", "-check", "-"], CROOKED, 3, ""),
        (&["fmt", "-write=false", "-"], CROOKED, 0, ""),
        (&["fmt", "-check", "-"], CANONICAL, 0, CANONICAL),
    ];
    for (words, input, code, output) in table {
        let ran = place.run_on(input, words);
        assert_eq!((ran.code(), ran.stdout.as_str()), (code, output), "{words:?}");
    }
    place
        .run_on("a = \n", ["fmt", "-"])
        .expect_code(1)
        .expect("on <stdin> line 1")
        .expect("while formatting -\n");
}

#[test]
fn what_is_wrong_is_told_and_the_rest_is_done() {
    let place = place();
    place.write("bad.pkr.hcl", "b {\n  a=\n}\n");
    place.write("bytes.pkr.hcl", b"a = \"\xff\"\n");
    place.write("good.pkr.hcl", CROOKED);
    place.write("t.json", "{}");
    let ran = place.run(["fmt", "bad.pkr.hcl", "bytes.pkr.hcl", "t.json", "none.pkr.hcl", "good.pkr.hcl"]);
    ran.expect_code(1).expect("on bad.pkr.hcl line 2").expect("good.pkr.hcl\n").expect("is not UTF-8 text");
    ran.expect("file t.json is not a HCL file").expect("none.pkr.hcl: no such file or directory");
    for name in ["bad.pkr.hcl", "bytes.pkr.hcl", "t.json", "none.pkr.hcl"] {
        ran.expect(&format!("encountered an error while formatting {name}\n"));
    }
    assert_eq!(place.read("bad.pkr.hcl"), "b {\n  a=\n}\n");
    assert_eq!(place.read("good.pkr.hcl"), CANONICAL);
    place.run(["fmt"]).expect_code(1).expect("at least one file");
}

#[test]
fn a_rewritten_file_keeps_its_mode() {
    let place = place();
    let path = place.write("t.pkr.hcl", CROOKED);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    place.run(["fmt", "t.pkr.hcl"]).expect_code(0);
    assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
    assert_eq!(place.read("t.pkr.hcl"), CANONICAL);
    assert_eq!(std::fs::read_dir(place.work()).expect("it is ours").count(), 1);
}
