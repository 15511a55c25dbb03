//! `-only` and `-except`.

use super::{World, outcome, request};

const HCL: &str = r#"
source "file" "cherry" {}
source "file" "pear" {}
build {
  name    = "fruit"
  sources = ["file.cherry", "file.pear"]
  post-processor "manifest" { name = "list" }
  post-processors {
    post-processor "checksum" {}
    post-processor "compress" {}
  }
}
build {
  sources = ["file.cherry"]
}
"#;

fn names(only: &[&str], except: &[&str]) -> String {
    let mut request = request("t.pkr.hcl");
    request.only = only.iter().map(|s| (*s).to_owned()).collect();
    request.except = except.iter().map(|s| (*s).to_owned()).collect();
    outcome(World::default().file("t.pkr.hcl", HCL), &request)
}

/// The names of the builds that run, and the first words of warnings.
fn summary(shown: &str) -> String {
    let lines = shown.lines().filter(|l| !l.starts_with(' '));
    let words = lines.map(|l| l.split([' ', ':']).next().unwrap_or_default());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn globs_match_full_names_and_cross_dots() {
    let cases: [(&[&str], &[&str], &str); 9] = [
        (&[], &[], "fruit.file.cherry fruit.file.pear file.cherry"),
        (&["*cherry"], &[], "fruit.file.cherry file.cherry"),
        (&["file.cherry"], &[], "file.cherry"),
        (&["fruit.*"], &[], "fruit.file.cherry fruit.file.pear"),
        (&[], &["fruit.*"], "file.cherry"),
        (&["*cherry"], &["fruit.*"], "file.cherry"),
        (&["cherry"], &[], "Warning"),
        (&[""], &[], "fruit.file.cherry fruit.file.pear file.cherry"),
        (&["file.cherry", "nothing"], &[], "file.cherry Warning"),
    ];
    for (only, except, expected) in cases {
        assert_eq!(summary(&names(only, except)), expected, "only {only:?} except {except:?}");
    }
}

#[test]
fn two_patterns_with_two_matches_do_not_warn_though_one_is_dead() {
    assert_eq!(summary(&names(&["*cherry", "nothing"], &[])), "fruit.file.cherry file.cherry");
}

#[test]
fn a_malformed_pattern_is_an_error() {
    assert!(names(&["[a"], &[]).starts_with("Error: Invalid -only pattern [a: "));
}

#[test]
fn an_excepted_post_processor_takes_the_rest_of_its_sequence_with_it() {
    let posts = |except: &str| {
        let shown = names(&["fruit.file.pear"], &[except]);
        let posts = shown.lines().filter(|l| l.starts_with("  post"));
        posts.map(str::trim).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(posts("list"), ["post \"\" checksum {} > \"\" compress {}"]);
    assert_eq!(posts("compress"), ["post \"list\" manifest {}", "post \"\" checksum {}"]);
    assert_eq!(posts("checksum"), ["post \"list\" manifest {}"]);
    assert_eq!(posts("manifest"), ["post \"list\" manifest {}", "post \"\" checksum {} > \"\" compress {}"]);
}

#[test]
fn legacy_names_are_compared_as_they_are() {
    let template = r#"{
  "builders": [
    {"type": "file", "name": "vanilla"},
    {"type": "file", "name": "chocolate"},
    {"type": "null"}
  ],
  "post-processors": [["manifest", {"type": "compress", "name": "pear"}, "checksum"]]
}"#;
    let run = |only: &[&str], except: &[&str]| {
        let mut request = request("t.json");
        request.only = only.iter().map(|s| (*s).to_owned()).collect();
        request.except = except.iter().map(|s| (*s).to_owned()).collect();
        outcome(World::default().file("t.json", template), &request)
    };
    assert_eq!(summary(&run(&[], &[])), "file.chocolate null file.vanilla");
    assert_eq!(summary(&run(&["vanilla", "absent"], &[])), "file.vanilla");
    assert_eq!(summary(&run(&["file.vanilla"], &[])), "");
    assert_eq!(summary(&run(&[], &["vanilla", "null"])), "file.chocolate");
    let shown = run(&["null"], &["pear"]);
    assert_eq!(shown, "null (null): null {}\n  post \"manifest\" manifest {}\n");
}
