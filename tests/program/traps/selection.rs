//! Traps of choosing: `-only` and `-except`, `only`, `except` and `override` in templates, in both languages.

use super::{run, shell_local, template, with};

/// The names of the builds that a run has made.
fn built(ran: &kiln_tests::program::Ran) -> Vec<String> {
    let names = ran.stdout.lines().filter_map(|l| l.strip_prefix("Build '"));
    let mut names: Vec<String> = names.filter_map(|l| l.split('\'').next()).map(str::to_owned).collect();
    names.sort();
    names
}

const LEGACY: &str = r#"{
  "builders": [
    {"type": "null", "name": "one", "communicator": "none"},
    {"type": "null", "communicator": "none"}
  ],
  "provisioners": [
    {"type": "shell-local", "inline": ["echo for {{build_name}}"], "only": ["one"], "override": {"one": {"inline": ["echo over {{build_name}}"]}}}
  ],
  "post-processors": [["manifest", {"type": "shell-local", "name": "say", "inline": ["echo said"]}]]
}"#;

#[test]
fn trap_10_names_are_globs_in_hcl2_and_plain_in_json() {
    let inside = "  name = \"n\"\n  provisioner \"shell-local\" {\n    inline   = [\"echo plain\"]\n    only     = [\"null.a\"]\n    override = {\n      a = { inline = [\"echo over\"] }\n    }\n  }";
    let hcl = with("t.pkr.hcl", &template(&["a", "ab"], inside));
    let cases: [(&str, &[&str]); 7] = [
        ("*a", &["n.null.a"]),
        ("n.*", &["n.null.a", "n.null.ab"]),
        ("n*ab", &["n.null.ab"]),
        ("n.null.[!b]", &["n.null.a"]),
        ("n.null.a?", &["n.null.ab"]),
        ("null.a", &[]),
        ("N.null.a", &[]),
    ];
    for (pattern, expected) in cases {
        let ran = hcl.run(["build", &format!("-only={pattern}"), "t.pkr.hcl"]);
        assert_eq!(built(&ran), expected, "{pattern}: {}", ran.stdout);
    }
    hcl.run(["build", "t.pkr.hcl"]).expect_code(0).expect("==> n.null.a: over\n").expect_not("plain");
    hcl.run(["validate", "-only=[", "t.pkr.hcl"]).expect_code(1).expect("Invalid -only pattern [");
    let json = with("t.json", LEGACY);
    for (name, expected) in
        [("one", vec!["null.one"]), ("null", vec!["null"]), ("null.one", vec![]), ("*", vec![])]
    {
        assert_eq!(built(&json.run(["build", &format!("-only={name}"), "t.json"])), expected, "{name}");
    }
    let all = json.run(["build", "t.json"]);
    all.expect("==> null.one: over one\n").expect_not("over null");
    let unknown = with("t.json", &LEGACY.replace("\"only\": [\"one\"]", "\"only\": [\"two\"]"));
    unknown.run(["validate", "t.json"]).expect_code(1).expect("two");
}

#[test]
fn trap_11_except_cuts_sequences_and_nothing_to_do_is_an_error_only_for_build() {
    let posts = format!(
        "  post-processors {{\n{}    post-processor \"shell-local\" {{\n      name   = \"second\"\n      inline = [\"echo second\"]\n    }}\n{}  }}\n",
        shell_local("post-processor", "echo first"),
        shell_local("post-processor", "echo third")
    );
    let place = with("t.pkr.hcl", &template(&["a"], &posts));
    let ran = place.run(["build", "-except=second", "t.pkr.hcl"]);
    ran.expect_code(0).expect(": first\n").expect_not(": second\n").expect_not(": third\n");
    place.run(["build", "-except=shell-local", "t.pkr.hcl"]).expect_code(0).expect_not(": first\n");
    place.run(["build", "-only=null.a,second", "t.pkr.hcl"]).expect_code(0).expect(": third\n");
    let json = with("t.json", LEGACY);
    json.run(["build", "-except=say", "t.json"]).expect_code(0).expect_not("said");
    for nothing in [["-only=other", "t.pkr.hcl"], ["-except=null.a", "t.pkr.hcl"]] {
        place.run(["validate"].iter().chain(&nothing)).expect_code(0);
        place.run(["build"].iter().chain(&nothing)).expect_code(1).expect("No builds to run");
    }
    let warned = place.run(["build", "-only=null.a,other", "t.pkr.hcl"]);
    warned
        .expect_code(0)
        .expect("an 'only' option was passed, but not all matches were found for the given build.");
}

#[test]
fn trap_16_a_bad_build_does_not_stop_the_good_ones() {
    let text = "source \"null\" \"good\" {\n  communicator = \"none\"\n}\nsource \"file\" \"bad\" {}\nbuild {\n  sources = [\"file.bad\", \"null.good\"]\n}\n";
    let ran = run(text, &["build"]);
    ran.expect_code(1).expect("Error: ").expect("Build 'null.good' finished");
    assert_eq!(built(&ran), ["null.good"]);
}
