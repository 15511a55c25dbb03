//! Legacy JSON templates. One table per part of the language: data in, text out.

mod components;
mod diagnostics;
mod interpolation;
mod names;
mod reading;
mod variables;

use kiln_plan::Sensitive;

use super::{World, json, outcome, request};
use crate::VariableArgument;

#[test]
fn builders_become_plans_in_alphabetical_order_and_texts_stay_raw() {
    let text = r#"{
  "description": "d",
  "_comment": "free",
  "Builders": [
    {"type": "qemu", "name": "{{user `n`}}", "iso_url": "{{user `n`}}", "boot": ["{{ .HTTPIP }}"]},
    {"type": "null", "flag": true, "count": 3, "none": null}
  ],
  "variables": {"n": "m-{{user `p`}}", "p": "q"},
  "provisioners": [
    {"type": "shell", "inline": ["echo {{user `p`}}"], "pause_before": "10s", "max_retries": "{{user `r`}}2",
     "override": {"null": {"inline": ["other"], "extra": 1}}},
    {"type": "file", "only": ["null"], "timeout": 5000000000}
  ],
  "error-cleanup-provisioner": {"type": "shell-local", "except": ["null"]},
  "post-processors": ["manifest", {"type": "compress", "keep_input_artifact": true},
                      [{"type": "checksum", "name": "c", "only": ["null"]}, "artifice"]]
}"#;
    assert_eq!(
        json(text),
        r#"qemu.m-q (m-q): qemu {iso_url="{{user `n`}}", boot=["{{ .HTTPIP }}"]}
  provisioner shell {inline=["echo {{user `p`}}"]} pause=10 retries=2
  cleanup shell-local {}
  post "manifest" manifest {}
  post "compress" compress {} keep=true
  post "artifice" artifice {}
null (null): null {flag=true, count=3, none=null}
  provisioner shell {inline=["other"], extra=1} pause=10 retries=2
  provisioner file {} timeout=5
  post "manifest" manifest {}
  post "compress" compress {} keep=true
  post "c" checksum {} > "artifice" artifice {}
"#
    );
}

#[test]
fn mistakes_of_form_are_found_by_parsing() {
    let cases = [
        ("[]", "Unexpected type: the template: expected type 'object', got array"),
        (
            r#"{"bilders": []}"#,
            "t.json:1: Unknown root level key: Unknown root level key in template: 'bilders'",
        ),
        (r#"{"_note": 1}"#, "'_note': expected type 'string', got number"),
        (r#"{"variables": {"a": 1}}"#, "variable 'a': expected type 'string', got number"),
        (r#"{"builders": [{}]}"#, "builder 1: missing 'type'"),
        (
            r#"{"builders": [{"type": "x"}, {"type": "x"}]}"#,
            "builder 2: builder with name 'x' already exists",
        ),
        (r#"{"provisioners": [{"x": 1}]}"#, "provisioner 1: missing 'type'"),
        (r#"{"post-processors": [["a", {}]]}"#, "post-processor 1.2: missing 'type'"),
        (r#"{"post-processors": [[["a"]]]}"#, "post-processor 1.1: expected type 'object', got array"),
        (r#"{"post-processors": [{"type": "a", "keep_input_artifact": "true"}]}"#, "expected type 'bool'"),
        (r#"{"provisioners": [{"type": "a", "pause_before": "5"}]}"#, "lacks a unit"),
        (r#"{"builders": [{"type": "x", "a": 1, "a": 2}]}"#, "template has duplicate field: a"),
        ("{\n  \"a\": tru\n}", "At line 3, column 1 (offset 13)"),
    ];
    for (text, expected) in cases {
        let shown = json(text);
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn references_between_parts_are_checked_together() {
    let shown = json(
        r#"{
  "builders": [{"type": "null"}],
  "provisioners": [{"type": "a", "only": ["x"]}, {"type": "b", "override": {"y": {}}}],
  "post-processors": ["c", ["d", {"type": "e", "except": ["z"], "only": ["null"]}]]
}"#,
    );
    let details: Vec<_> = shown.lines().map(|l| l.split("Invalid template: ").nth(1).unwrap()).collect();
    assert_eq!(
        details,
        [
            "provisioner 1: 'only' specified builder 'x' not found [builders: null]",
            "provisioner 2: override 'y' doesn't exist [builders: null]",
            "post-processor 2.2: only one of 'only' or 'except' may be specified",
            "post-processor 2.2: 'except' specified builder 'z' not found [builders: null]",
        ]
    );
    assert!(json("{}").contains("at least one builder must be defined"));
}

fn with_variables(variables: &str, given: &[(&str, &str)], world: World) -> String {
    let text = format!(
        r#"{{"variables": {variables}, "builders": [{{"type": "null", "name": "{{{{user `a`}}}}"}}]}}"#
    );
    let mut request = request("t.json");
    let argument = |(name, text): &(&str, &str)| VariableArgument {
        name: (*name).to_owned(),
        text: Sensitive::new((*text).to_owned()),
    };
    request.variables = given.iter().map(argument).collect();
    request.var_files = vec!["v.json".to_owned()];
    outcome(world.file("t.json", &text), &request)
}

#[test]
fn variables_are_rendered_until_nothing_changes() {
    let world = || {
        World::default()
            .file("v.json", r#"{"undeclared": "fine", "c": "file", "n": null}"#)
            .variable("HOME", "/root")
    };
    type Given<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Given<'_>, &str); 7] = [
        (r#"{"a": "x{{user `b`}}", "b": "y{{user `c`}}", "c": "z"}"#, &[], "xyfile"),
        (r#"{"a": "{{user `b`}}{{env `HOME`}}", "b": "{{user `c`}}"}"#, &[], "file/root"),
        (r#"{"a": "{{env `UNSET`}}x", "c": "z"}"#, &[], "x"),
        (r#"{"a": "b", "c": "z"}"#, &[("c", "cli"), ("a", "{{user `c`}}!")], "cli!"),
        (r#"{"a": null, "c": "z"}"#, &[("a", "1"), ("a", "2")], "2"),
        (r#"{"a": "{{user `undeclared`}}{{user `n`}}"}"#, &[], "fine"),
        (r#"{"a": "{{upper `q`}}{{user `b`}}", "b": "{{lower `R`}}"}"#, &[], "Qr"),
    ];
    for (variables, given, name) in cases {
        let shown = with_variables(variables, given, world());
        assert_eq!(shown, format!("null.{name} ({name}): null {{}}\n"), "{variables}");
    }
}

#[test]
fn variables_that_can_not_be_rendered_are_named() {
    let world = || World::default().file("v.json", "{}");
    let cases = [
        (r#"{"a": null, "b": null}"#, "required variable not set: b"),
        (r#"{"a": "{{user `nope`}}"}"#, "failed to interpolate user variable 'a': variable not set: nope"),
        (r#"{"a": "{{user `b`}}", "b": "{{user `a`}}"}"#, "failed to interpolate user variable"),
        (r#"{"a": "{{nope}}"}"#, "function \"nope\" not defined"),
        (r#"{"a": "{{vault `x` `y`}}"}"#, "vault: secret stores aren't asked"),
    ];
    for (variables, expected) in cases {
        let shown = with_variables(variables, &[], world());
        assert!(shown.contains(expected), "{variables}: {shown}");
    }
    let shown = with_variables(
        r#"{"a": "{{user `b`}}", "b": "x", "self": "{{user `self`}}"}"#,
        &[],
        World::default().file("v.json", "{}"),
    );
    assert!(shown.starts_with("null.x (x): null {}\nWarning: t.json:1: Failed to interpolate"), "{shown}");
    let shown = with_variables("{}", &[], World::default().file("v.json", r#"{"x": 1}"#));
    assert!(shown.contains("v.json:1: Unexpected type: variable 'x': expected type 'string', got number"));
}

#[test]
fn actions_about_the_dot_are_left_for_the_component() {
    let text = r#"{"variables": {"a": "{{ .Name }}-{{user `b`}}", "b": "x"},
                   "builders": [{"type": "null"}]}"#;
    let request = request("t.json");
    let plans = super::plans(World::default().file("t.json", text), &request);
    assert_eq!(plans[0].facts.user_variables["a"].reveal(), "{{ .Name }}-x");
}

#[test]
fn sensitive_variables_are_secrets() {
    let text = r#"{"variables": {"a": "pass-{{user `b`}}", "b": "word"}, "sensitive-variables": ["a", "nope"],
                   "builders": [{"type": "null"}]}"#;
    let request = request("t.json");
    let plans = super::plans(World::default().file("t.json", text), &request);
    let secrets: Vec<_> = plans[0].secrets.iter().map(|s| s.reveal().as_str()).collect();
    assert_eq!(secrets, ["pass-word"]);
    assert!(!format!("{:?}", plans[0]).contains("pass-word"));
}

#[test]
fn a_template_may_ask_for_a_minimum_version() {
    let version =
        |v: &str| json(&format!(r#"{{"min_packer_version": "{v}", "builders": [{{"type": "null"}}]}}"#));
    assert_eq!(version("1.16.0"), "null (null): null {}\n");
    assert!(version("1.17").contains("requires Packer version 1.17 or higher; using 1.16.0"));
    assert!(version("new").contains("is not a version"));
}
