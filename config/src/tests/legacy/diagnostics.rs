//! What is wrong with a JSON template: all of it at once, each with the exact range, what was expected, what was
//! found, and a likely correction.

use std::sync::Arc;

use kiln_lang::Diagnostic;

use crate::tests::{World, request};
use crate::{Answers, Evaluation, Inputs, SharedHost, evaluate, parse};

/// Each complaint as `line:column range | detail | hint`.
fn complaints(text: &str) -> Vec<String> {
    let host: SharedHost = Arc::new(World::default().file("t.json", text));
    let request = request("t.json");
    let (template, mut found, sources) = parse(&request, &host);
    if let Some(template) = template.filter(|_| !found.has_errors()) {
        let answers = Answers::none();
        let inputs = Inputs { request: &request, catalog: None, answers: &answers, host: &host };
        if let Evaluation::Done { diagnostics, .. } = evaluate(&template, inputs) {
            found.extend(diagnostics);
        }
    }
    let shown = |diagnostic: &Diagnostic| {
        let span = diagnostic.span.clone().expect("a JSON mistake has a place");
        let file = sources.get("t.json").unwrap();
        let place = file.position(span.start);
        let range = text.get(span.start..span.end).unwrap_or("");
        let detail = diagnostic.detail.replace('\n', " ");
        let hint = diagnostic.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{}:{} {range} | {detail}{hint}", place.line, place.column)
    };
    found.iter().map(shown).collect()
}

#[test]
fn mistakes_of_form_are_all_told_with_their_ranges() {
    let text = r#"{
  "descripton": "x",
  "description": 5,
  "variables": {"a": 1, "b": []},
  "builders": [
    {"type": "null", "a": 1, "a": 2},
    {"name": "x"},
    {"type": "null"}
  ],
  "provisioners": [{"type": "p", "pause_before": "5"}, 7],
  "post-processors": [{"type": "c", "keep_input_artifact": "true"}]
}"#;
    assert_eq!(
        complaints(text),
        [
            r#"6:30 "a" | template has duplicate field: a"#,
            r#"2:3 "descripton" | Unknown root level key in template: 'descripton' | did you mean "description"?"#,
            "3:18 5 | 'description': expected type 'string', got number",
            "4:22 1 | variable 'a': expected type 'string', got number",
            "4:30 [] | variable 'b': expected type 'string', got array",
            r#"7:5 {"name": "x"} | builder 2: missing 'type'"#,
            r#"8:5 {"type": "null"} | builder 3: builder with name 'null' already exists"#,
            r#"10:50 "5" | 'pause_before': the duration "5" lacks a unit; write for example "5s""#,
            "10:56 7 | provisioner 2: expected type 'object', got number",
            r#"11:60 "true" | post-processor 1.1: 'keep_input_artifact': expected type 'bool', got string"#,
        ]
    );
}

#[test]
fn slips_against_the_syntax_are_all_told_and_the_rest_is_read_nonetheless() {
    let text = r#"{
  // a comment
  "bilders": [],
  "builders": [{"type": "null",} {"type": 'x'}],
  description: "x" /* y */
}"#;
    assert_eq!(
        complaints(text),
        [
            "2:3 // a comment | Error parsing JSON: key must be a string At line 2, column 4 (offset 5) | put it into a text under a key of the root that begins with _, such as \"_comment\"",
            "4:31 , | Error parsing JSON: a comma stands before the end At line 4, column 32 (offset 65) | take the comma away",
            "4:34 { | Error parsing JSON: a comma is missing before this At line 4, column 35 (offset 68) | write a comma between the two",
            "4:43 'x' | Error parsing JSON: a text stands between double quotes At line 4, column 44 (offset 77) | write \"…\" instead of '…'",
            "5:3 description | Error parsing JSON: a key stands between double quotes At line 5, column 4 (offset 86) | write \"…\" around it",
            "5:20 /* y */ | Error parsing JSON: JSON has no comments At line 5, column 21 (offset 103) | put it into a text under a key of the root that begins with _, such as \"_comment\"",
            "3:3 \"bilders\" | Unknown root level key in template: 'bilders' | did you mean \"builders\"?",
        ]
    );
}

#[test]
fn what_no_one_can_read_is_told_once() {
    for (text, place) in
        [("{\"a\": tru}", "1:10"), ("{\"a\"", "1:"), ("", "1:1"), ("{} {}", "1:4"), ("{\"a\": 01}", "1:")]
    {
        let found = complaints(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(place), "{text}: {found:?}");
        assert!(found[0].contains(".pkr.hcl or .pkr.json"), "{text}: {found:?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(complaints(&deep).len(), 1);
}

#[test]
fn mistakes_of_use_are_all_told_with_their_ranges() {
    let text = r#"{
  "variables": {"a": "x"},
  "builders": [{"type": "null", "name": "web"}, {"type": "null", "name": "{{nope}}"}],
  "provisioners": [
    {"type": "p", "only": ["wbe"], "max_retries": "{{user `a`}}"},
    {"type": "p", "override": {"db": {}}}
  ]
}"#;
    assert_eq!(
        complaints(text),
        [
            r#"5:19 "only": ["wbe"] | provisioner 1: 'only' specified builder 'wbe' not found | did you mean "web"?"#,
            r#"6:32 "db" | provisioner 2: override 'db' doesn't exist | builders: web, {{nope}}"#,
            r#"3:74 "{{nope}}" | error interpolating the name "{{nope}}": function "nope" not defined in "{{nope}}""#,
        ]
    );
    let text = r#"{"builders": [{"type": "null"}, {"type": "null", "name": "b"}, {"type": "null", "name": "c"}],
 "provisioners": [{"type": "p", "max_retries": "many"}]}"#;
    assert_eq!(
        complaints(text),
        [r#"2:48 "many" | max_retries must be a whole number, not "many". The same in 2 more builds."#]
    );
}
