//! Names of builds, and which of them run.

use crate::tests::{World, json, outcome, request};

/// The names of the builds that run, and what is complained of.
fn run(builders: &str, only: &[&str], except: &[&str]) -> String {
    let text = format!(
        r#"{{"variables": {{"v": "x", "w": "{{{{user `v`}}}}", "t": "null"}}, "builders": [{builders}],
            "post-processors": [["manifest", {{"type": "compress", "name": "c"}}, "artifice"]]}}"#
    );
    let mut request = request("t.json");
    request.only = only.iter().map(ToString::to_string).collect();
    request.except = except.iter().map(ToString::to_string).collect();
    let shown = outcome(World::default().file("t.json", &text), &request);
    let line = |line: &str| match line.strip_prefix("  post ") {
        Some(sequence) => {
            sequence.split(" > ").map(|p| p.split(' ').next().unwrap_or("")).collect::<Vec<_>>().join(">")
        }
        None => line.split(": null").next().unwrap_or(line).split(": qemu").next().unwrap_or(line).to_owned(),
    };
    shown.lines().map(line).collect::<Vec<_>>().join("; ")
}

const ALL: &str = r#""manifest">"c">"artifice""#;

#[test]
fn a_build_is_called_by_its_type_and_its_rendered_name() {
    let cases = [
        (r#"{"type": "null"}"#, "null (null)"),
        (r#"{"type": "null", "name": ""}"#, "null (null)"),
        (r#"{"type": "null", "name": "null"}"#, "null (null)"),
        (r#"{"type": "null", "name": "a b.c"}"#, "null.a b.c (a b.c)"),
        (r#"{"type": "null", "name": "{{user `w`}}-{{isotime `2006`}}"}"#, "null.x-2020 (x-2020)"),
        (r#"{"type": "null", "name": "{{user `t`}}"}"#, "null (null)"),
    ];
    for (builder, expected) in cases {
        assert_eq!(run(builder, &[], &[]), format!("{expected}; {ALL}"), "{builder}");
    }
    // A type is never rendered.
    let shown = json(r#"{"variables": {"t": "null"}, "builders": [{"type": "{{user `t`}}", "name": "n"}]}"#);
    assert_eq!(shown, "{{user `t`}}.n (n): {{user `t`}} {}\n");
}

#[test]
fn builds_run_in_the_order_of_their_names_and_one_of_two_equal_ones_is_told_to_be_lost() {
    let builders = r#"{"type": "null", "name": "b"}, {"type": "qemu", "name": "a"}, {"type": "null"}, {"type": "null", "name": "B"}"#;
    let names: Vec<_> =
        ["null.B (B)", "qemu.a (a)", "null.b (b)", "null (null)"].map(|n| format!("{n}; {ALL}")).into();
    assert_eq!(run(builders, &[], &[]), names.join("; "));
    let shown = json(
        r#"{"variables": {"v": "x"}, "builders": [{"type": "null", "name": "x", "n": 1}, {"type": "null", "name": "{{user `v`}}", "n": 2}]}"#,
    );
    assert!(
        shown.starts_with("null.x (x): null {n=2}\nWarning: t.json:1: Two builders of one name"),
        "{shown}"
    );
}

#[test]
fn only_and_except_of_the_command_line_are_exact_rendered_names() {
    let builders = r#"{"type": "null", "name": "{{user `v`}}"}, {"type": "null"}"#;
    let (x, null) = (format!("null.x (x); {ALL}"), format!("null (null); {ALL}"));
    let cases: [(&[&str], &[&str], String); 9] = [
        (&["x"], &[], x.clone()),
        (&["null.x"], &[], String::new()),
        (&["*"], &[], String::new()),
        (&["{{user `v`}}"], &[], String::new()),
        (&["nope"], &[], String::new()),
        (&[], &["x"], null.clone()),
        (&["x", "null"], &["x"], null),
        (&["x"], &["c"], r#"null.x (x); "manifest""#.to_owned()),
        (&["x"], &["manifest"], "null.x (x)".to_owned()),
    ];
    for (only, except, expected) in cases {
        assert_eq!(run(builders, only, except), expected, "{only:?} {except:?}");
    }
}
