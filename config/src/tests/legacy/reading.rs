//! Text to a template: strict JSON, root keys, their types.

use crate::tests::{json, outcome, request};
use crate::{ConfigType, tests::World};

const BUILDERS: &str = r#""builders": [{"type": "null"}]"#;
const PLAN: &str = "null (null): null {}\n";

/// What comes of a template that has this beside its builder.
fn beside(members: &str) -> String {
    json(&format!("{{{members}, {BUILDERS}}}"))
}

#[test]
fn trap_23_json_is_strict() {
    let cases = [
        (r#"{"variables": {"n": 5}}"#, "variable 'n': expected type 'string', got number"),
        (r#"{"variables": {"n": true}}"#, "variable 'n': expected type 'string', got bool"),
        (r#"{"variables": {"n": null}, "builders": [{"type": "null"}]}"#, "required variable not set: n"),
        (r#"{"builders": [{"type": "null", "a": {"b": 1, "b": 2}}]}"#, "template has duplicate field: b"),
        (r#"{"_a": "x", "_a": "y"}"#, "template has duplicate field: _a"),
        (r#"{"builders": [{"type": "null", "name": "{{env `HOME`}}"}]}"#, "env vars are not allowed here"),
        (r#"{"builders": [{"type": "null", "name": "x{{user `unset`}}"}]}"#, "null.x (x): null {}"),
        (
            r#"{"variables": {"a": "{{user `unset`}}"}, "builders": [{"type": "null"}]}"#,
            "variable not set: unset",
        ),
    ];
    for (text, expected) in cases {
        let shown = json(text);
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn root_keys_match_without_regard_to_case_and_have_types() {
    let good = [
        r#""Description": "x""#,
        r#""DESCRIPTION": null, "_": "x""#.trim_end_matches(r#", "_": "x""#),
        r#""min_packer_version": "1.0""#,
        r#""Min_Packer_Version": "1.16.0""#,
        r#""Variables": {"a": "b"}"#,
        r#""sensitive-variables": ["a"]"#,
        r#""push": {"name": "x"}"#,
        r#""comments": [{"a": "b"}, {}]"#,
        r#""_": "x", "_long comment": "y""#,
        r#""provisioners": [], "post-processors": []"#,
    ];
    for members in good.iter().filter(|m| !m.contains("null")) {
        assert_eq!(beside(members), PLAN, "{members}");
    }
    let bad = [
        (r#""description": 5"#, "'description': expected type 'string', got number"),
        (r#""min_packer_version": 1"#, "'min_packer_version': expected type 'string', got number"),
        (r#""variables": []"#, "'variables': expected type 'object', got array"),
        (r#""sensitive-variables": "a""#, "'sensitive-variables': expected type 'array', got string"),
        (r#""sensitive-variables": [1]"#, "'sensitive-variables': expected type 'string', got number"),
        (r#""provisioners": {}"#, "'provisioners': expected type 'array', got object"),
        (r#""provisioners": ["shell"]"#, "provisioner 1: expected type 'object', got string"),
        (r#""post-processors": {}"#, "'post-processors': expected type 'array', got object"),
        (r#""post-processors": [5]"#, "post-processor 1.1: expected type 'object', got number"),
        (
            r#""error-cleanup-provisioner": []"#,
            "error-cleanup-provisioner: expected type 'object', got array",
        ),
        (r#""push": "x""#, "'push': expected type 'object', got string"),
        (r#""comments": ["x"]"#, "a comment: expected type 'object', got string"),
        (r#""comments": [{"a": 1}]"#, "a comment: expected type 'string', got number"),
        (r#""_note": {}"#, "'_note': expected type 'string', got object"),
        (r#""note": "x""#, "Unknown root level key in template: 'note'"),
        (
            r#""Provisioner": []"#,
            "Unknown root level key in template: 'Provisioner' [did you mean \"provisioners\"?]",
        ),
    ];
    for (members, expected) in bad {
        let shown = beside(members);
        assert!(shown.contains(expected), "{members}: {shown}");
    }
}

#[test]
fn a_builder_is_needed_once_the_template_is_used() {
    for text in ["{}", r#"{"builders": []}"#, r#"{"provisioners": [{"type": "shell"}]}"#] {
        assert!(json(text).contains("at least one builder must be defined"), "{text}");
    }
    assert!(json(r#"{"builders": {}}"#).contains("'builders': expected type 'array', got object"));
    assert!(json(r#"{"builders": [null]}"#).contains("builder 1: expected type 'object', got null"));
}

#[test]
fn the_oldest_version_that_reads_a_template_counts_before_everything_else() {
    let cases = [
        ("1.16.0", ""),
        ("1.9.5", ""),
        ("1.16.1", "This template requires Packer version 1.16.1 or higher; using 1.16.0"),
        ("2.0.0", "This template requires Packer version 2.0.0 or higher; using 1.16.0"),
        ("one", "is not a version"),
    ];
    for (version, complaint) in cases {
        let text = format!(
            r#"{{"min_packer_version": "{version}", "builders": [{{"type": "null"}}], "provisioners": [{{"type": "a", "only": ["x"]}}]}}"#
        );
        let shown = json(&text);
        assert_eq!(shown.contains("specified builder"), complaint.is_empty(), "{version}: {shown}");
        assert!(shown.contains(complaint), "{version}: {shown}");
    }
}

#[test]
fn a_template_may_come_on_standard_input() {
    let text = format!("{{{BUILDERS}}}");
    for path in ["-", ""] {
        let world = World::default().standard_input(&text);
        assert_eq!(outcome(world, &request(path)), PLAN, "{path:?}");
    }
    let mut hcl = request("-");
    hcl.config_type = ConfigType::Hcl2;
    assert!(outcome(World::default(), &hcl).contains("HCL2 can't be read from standard input"));
}
