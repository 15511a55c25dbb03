//! JSON templates brought up to date: `fix` and `hcl2_upgrade` as a user runs them.

use super::place;

const OLD: &str = r#"{
  "variables": {"name": "web", "target": "{{user `name`}}.txt"},
  "builders": [
    {"type": "file", "name": "{{user `name`}}", "content": "made by {{build_name}}", "target": "{{user `target`}}"},
    {"type": "null", "communicator": "none", "ssh_wait_timeout": "1m"}
  ],
  "provisioners": [
    {"type": "shell-local", "inline": ["echo hello from $PACKER_BUILDER_TYPE"], "only": ["null"],
     "override": {"null": {"environment_vars": ["A=<b> & c"]}}}
  ],
  "post-processors": [{"type": "manifest", "filename": "m.json"}]
}"#;

#[test]
fn fix_prints_the_template_as_it_is_written_today() {
    let place = place();
    place.write("old.json", OLD);
    let ran = place.run(["fix", "old.json"]);
    ran.expect_code(0)
        .expect("\"ssh_timeout\": \"1m\"")
        .expect("\"output\": \"m.json\"")
        .expect("\"A=<b> \\u0026 c\"");
    ran.expect_not("ssh_wait_timeout").expect_not("filename");
    assert!(
        ran.stdout.starts_with("{\n  \"builders\": [\n    {\n      \"content\"")
            && ran.stdout.ends_with("\n}\n")
    );
    place.write("new.json", &ran.stdout);
    assert_eq!(place.run(["fix", "new.json"]).stdout, ran.stdout);
    place.run(["validate", "old.json"]).expect("deprecated configuration key: 'filename'").expect("kiln fix");
    place.run(["validate", "new.json"]).expect_code(0);
}

#[test]
fn fix_tells_what_it_can_not_mend() {
    let place = place();
    place.write("twice.json", r#"{"builders": [{"type": "null", "a": 1, "a": 2}], "_x": 1}"#);
    place.write("broken.json", "{\n  \"builders\": [],\n}");
    place.write("t.pkr.hcl", "build {}");
    let checked = place.run(["fix", "twice.json"]);
    checked
        .expect_code(1)
        .expect("\"a\": 2")
        .expect("on twice.json, fixed line")
        .expect("expected type 'string'");
    place.run(["fix", "-validate=false", "twice.json"]).expect_code(0).expect_not("Error");
    place
        .run(["fix", "broken.json"])
        .expect_code(1)
        .expect("on broken.json line 2")
        .expect("take the comma away");
    place.run(["fix", "t.pkr.hcl"]).expect_code(1).expect("is an HCL2 template already");
    place.run(["fix", "nowhere.json"]).expect_code(1).expect("nowhere.json");
    place.run(["fix"]).expect_code(1).expect("takes exactly one template");
    place.run(["fix", "-h"]).expect_code(0).expect("iso-md5").expect("proxmox-type");
}

#[test]
fn an_upgraded_template_validates_and_builds_the_same() {
    let place = place();
    place.write("old.json", OLD);
    let fixed = place.run(["fix", "old.json"]);
    place.write("t.json", &fixed.stdout);
    place
        .run(["hcl2_upgrade", "t.json"])
        .expect_code(0)
        .expect("Successfully created t.json.pkr.hcl. Exit 0\n");
    place.run(["validate", "-syntax-only", "t.json.pkr.hcl"]).expect_code(0);
    place.run(["build", "-color=false", "t.json"]).expect_code(0).expect("null: hello from null");
    let before = std::fs::read_to_string(place.work().join("web.txt")).unwrap();
    std::fs::remove_file(place.work().join("web.txt")).unwrap();
    place.run(["build", "-color=false", "t.json.pkr.hcl"]).expect_code(0).expect("hello from null");
    assert_eq!(std::fs::read_to_string(place.work().join("web.txt")).unwrap(), before);
    assert_eq!(before, "made by web");
    let ran =
        place.run(["build", "-color=false", "-var", "target=other.txt", "-only=file.*", "t.json.pkr.hcl"]);
    ran.expect_code(0);
    assert!(place.work().join("other.txt").exists());
}

#[test]
fn a_template_with_a_component_that_nobody_offers_is_written_but_the_exit_code_tells() {
    let place = place();
    place.write("t.json", r#"{"builders": [{"type": "nobodys", "a": {"b": {"c": 1}}}]}"#);
    let ran = place.run(["hcl2_upgrade", "t.json"]);
    ran.expect_code(1)
        .expect("Unknown builder nobodys")
        .expect("Successfully created t.json.pkr.hcl. Exit 1\n");
    place.run(["validate", "-syntax-only", "t.json.pkr.hcl"]).expect_code(0);
}

#[test]
fn the_output_is_touched_only_when_there_is_something_to_write() {
    let place = place();
    place.write("good.json", OLD);
    place.write("bad.json", r#"{"builders": [{}]}"#);
    place.write("out.pkr.hcl", "precious");
    let read = |path: &str| std::fs::read_to_string(place.work().join(path)).ok();
    for words in [
        ["hcl2_upgrade", "-output-file=out.pkr.hcl", "bad.json"],
        ["hcl2_upgrade", "-output-file=out.pkr.hcl", "gone.json"],
    ] {
        place.run(words).expect_code(1);
        assert_eq!(read("out.pkr.hcl").as_deref(), Some("precious"));
    }
    place.run(["hcl2_upgrade", "bad.json"]).expect_code(1).expect("builder 1: missing 'type'");
    assert_eq!(read("bad.json.pkr.hcl"), None);
    place
        .run(["hcl2_upgrade", "-output-file", "deep/er/out.pkr.hcl", "-with-annotations", "good.json"])
        .expect_code(0);
    assert!(
        read("deep/er/out.pkr.hcl")
            .is_some_and(|text| text.starts_with("# ") && text.contains("source \"file\""))
    );
    let shown = place.run(["hcl2_upgrade", "-output-file=-", "good.json"]);
    shown.expect_code(0);
    assert!(shown.stdout.starts_with("variable \"name\""), "{}", shown.stdout);
    let names: Vec<_> = std::fs::read_dir(place.work()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 4, "nothing is left over: {names:?}");
}
