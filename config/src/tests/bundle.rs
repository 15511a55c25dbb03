//! Which files count, and in which language they are read.

use super::{World, outcome, request};

const NULL: &str = r#"source "null" "a" { x = var.x }
build { sources = ["null.a"] }
"#;

#[test]
fn a_directory_is_all_its_hcl_files_and_then_its_json_files() {
    let world = World::default()
        .file("d/b.pkr.hcl", NULL)
        .file("d/.hidden.pkr.hcl", r#"variable "x" {}"#)
        .file("d/a.pkr.json", r#"{"locals": {"y": "${var.x}"}}"#)
        .file("d/ignored.pkrvars.hcl", "x = \"wrong\"")
        .file("d/z.auto.pkrvars.hcl", "x = \"hcl\"")
        .file("d/a.auto.pkrvars.json", r#"{"x": "json"}"#)
        .file("d/sub.pkr.hcl/x.pkr.hcl", "nonsense");
    assert_eq!(outcome(world, &request("d")), "null.a (a): null {x=\"json\"}\n");
}

#[test]
fn a_single_file_is_read_alone() {
    let world = World::default()
        .file("d/b.pkr.hcl", &format!("variable \"x\" {{ default = 1 }}\n{NULL}"))
        .file("d/other.pkr.hcl", "nonsense")
        .file("d/z.auto.pkrvars.hcl", "x = 2");
    assert_eq!(outcome(world, &request("d/b.pkr.hcl")), "null.a (a): null {x=1}\n");
}

#[test]
fn later_var_files_win_and_must_be_hcl_or_json() {
    let template = format!("variable \"x\" {{ default = 1 }}\n{NULL}");
    let world =
        World::default().file("b.pkr.hcl", &template).file("1.hcl", "x = 2").file("2.json", r#"{"x": 3}"#);
    let with = |files: &[&str]| {
        let mut request = request("b.pkr.hcl");
        request.var_files = files.iter().map(|f| (*f).to_owned()).collect();
        outcome(world.clone(), &request)
    };
    assert_eq!(with(&["1.hcl", "2.json"]), "null.a (a): null {x=3}\n");
    assert_eq!(with(&["2.json", "1.hcl"]), "null.a (a): null {x=2}\n");
    assert!(with(&["1.txt"]).starts_with("Error: Could not guess format of 1.txt: "));
    assert!(with(&["missing.hcl"]).contains("missing.hcl: no such file or directory"));
}

#[test]
fn what_is_not_named_as_hcl2_is_legacy_json() {
    let legacy = r#"{"builders": [{"type": "null"}]}"#;
    let world = World::default().file("t.json", legacy).standard_input(legacy);
    for path in ["t.json", "-", ""] {
        assert_eq!(outcome(world.clone(), &request(path)), "null (null): null {}\n", "{path:?}");
    }
    let mut hcl = request("t.json");
    hcl.config_type = crate::ConfigType::Hcl2;
    assert!(outcome(world.clone(), &hcl).starts_with("Error: Could not find any config file in t.json"));
    assert!(outcome(world, &request("absent")).contains("absent: no such file or directory"));
}

#[test]
fn a_directory_without_templates_is_an_error() {
    let world = World::default().file("d/x.hcl", "");
    assert!(outcome(world, &request("d")).starts_with("Error: Could not find any config file in d"));
}
