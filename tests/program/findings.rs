//! Findings as other programs read them: `-format json` and `-machine-readable`.

use serde_json::Value;

use super::place;

const WRONG: &str = r#"source "null" "a" {
  comunicator = "none"
}
build {
  sources = ["null.a"]
  provisioner "shell-local" {
    inlin = []
  }
}
"#;

fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("each line is a JSON object")).collect()
}

#[test]
fn validate_tells_each_finding_as_an_object() {
    let place = place();
    place.write("t.pkr.hcl", WRONG);
    let ran = place.run(["validate", "-format", "json", "t.pkr.hcl"]);
    ran.expect_code(1);
    let objects = objects(&ran.stdout);
    let verdict = objects.last().expect("there are lines");
    assert_eq!((&verdict["kind"], &verdict["valid"]), (&"verdict".into(), &false.into()));
    let finding = |name: &str| {
        let named = |o: &&Value| o["detail"].as_str().is_some_and(|d| d.contains(name));
        objects.iter().find(named).unwrap_or_else(|| panic!("{name}: {objects:?}"))
    };
    let first = finding("\"comunicator\"");
    assert_eq!((&first["kind"], &first["severity"]), (&"diagnostic".into(), &"error".into()));
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"t.pkr.hcl".into(), &2.into(), &3.into())
    );
    assert_eq!(first["summary"], "Unsupported argument");
    assert_eq!(first["hint"], "did you mean \"communicator\"?");
    assert_eq!(first["context"], "source \"null\" \"a\"");
    assert_eq!(first["snippet"], "  comunicator = \"none\"");
    assert_eq!(first["range"]["end"]["line"], 2);
    assert_eq!(finding("\"inlin\"")["line"], 7);
}

#[test]
fn a_valid_template_and_a_build_are_told_as_objects_too() {
    let place = place();
    place.write(
        "t.pkr.hcl",
        WRONG.replace("comunicator", "communicator").replace("inlin = []", "inline = [\"echo hi\"]"),
    );
    let valid = place.run(["validate", "-format=json", "t.pkr.hcl"]);
    valid.expect_code(0);
    let verdict = objects(&valid.stdout);
    assert_eq!(verdict.len(), 1);
    assert_eq!((&verdict[0]["valid"], &verdict[0]["errors"]), (&true.into(), &0.into()));
    let built = place.run(["build", "-format=json", "t.pkr.hcl"]);
    built.expect_code(0);
    let objects = objects(&built.stdout);
    let said = |o: &Value| o["kind"] == "message" && o["text"] == "==> null.a: hi";
    assert!(objects.iter().any(said), "{objects:?}");
}

#[test]
fn machine_readable_output_has_a_line_for_each_finding() {
    let place = place();
    place.write("t.pkr.hcl", WRONG);
    let ran = place.run(["validate", "-machine-readable", "t.pkr.hcl"]);
    ran.expect_code(1).expect(",,ui,error,Error: Unsupported argument");
    ran.expect(",,diagnostic,error,t.pkr.hcl,2,3,2,23,Unsupported argument,");
}

#[test]
fn mistakes_of_one_part_hide_none_of_another() {
    let place = place();
    place.write(
        "t.pkr.hcl",
        r#"variable "a" {
  typ = string
}
local "x" {
  expression = var.b
}
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["null.b"]
  provisioner "shel" {}
}
"#,
    );
    let ran = place.run(["validate", "t.pkr.hcl"]);
    ran.expect_code(1);
    for told in ["\"typ\" is not expected", "attribute named \"b\"", "Unknown source null.b", "\"shel\""] {
        ran.expect(told);
    }
    place.run(["build", "t.pkr.hcl"]).expect_code(1).expect_not("==>");
}
