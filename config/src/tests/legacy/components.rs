//! The keys of components that belong to the core, and those that don't.

use crate::tests::json;

/// The lines about one provisioner beside two builders, `null` and `v` (written `{{user `n`}}`).
fn provisioner(members: &str) -> String {
    let text = format!(
        r#"{{"variables": {{"n": "v", "two": "2", "bad": "x"}},
            "builders": [{{"type": "null"}}, {{"type": "null", "name": "{{{{user `n`}}}}"}}],
            "provisioners": [{{"type": "p", {members}}}]}}"#
    );
    let shown = json(&text);
    if shown.contains("Error") {
        return shown;
    }
    let lines = shown.lines().map(|line| match line.strip_prefix("  provisioner p ") {
        Some(rest) => rest.to_owned(),
        None => line.split(' ').next().unwrap_or("").to_owned(),
    });
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_provisioners_own_keys_are_taken_out_of_its_config() {
    let cases = [
        (r#""a": 1"#, "null {a=1} null.v {a=1}"),
        (r#""pause_before": "1m30s""#, "null {} pause=90 null.v {} pause=90"),
        (r#""pause_before": 1000000000"#, "null {} pause=1 null.v {} pause=1"),
        (r#""timeout": "5s", "pause_before": "1s""#, "null {} pause=1 timeout=5 null.v {} pause=1 timeout=5"),
        (r#""timeout": null"#, "null {} null.v {}"),
        (r#""max_retries": 3"#, "null {} retries=3 null.v {} retries=3"),
        (r#""max_retries": "{{user `two`}}""#, "null {} retries=2 null.v {} retries=2"),
        (r#""max_retries": """#, "null {} null.v {}"),
        (r#""only": ["null"]"#, "null {} null.v"),
        (r#""only": "null""#, "null {} null.v"),
        (r#""except": ["null"]"#, "null null.v {}"),
        (r#""only": ["{{user `n`}}"]"#, "null null.v {}"),
        (
            r#""a": 1, "b": 2, "override": {"{{user `n`}}": {"b": 3, "c": 4}}"#,
            "null {a=1, b=2} null.v {a=1, b=3, c=4}",
        ),
        (
            r#""name": "x", "continue_on_error": true"#,
            r#"null {name="x", continue_on_error=true} null.v {name="x", continue_on_error=true}"#,
        ),
    ];
    for (members, expected) in cases {
        assert_eq!(provisioner(members), expected, "{members}");
    }
}

#[test]
fn what_is_wrong_with_a_provisioners_own_keys_is_told() {
    let cases = [
        (r#""pause_before": "10""#, "'pause_before': the duration \"10\" lacks a unit"),
        (r#""timeout": "soon""#, "'timeout': \"soon\" is not a duration"),
        (r#""timeout": 1.5"#, "'timeout': 1.5 is not a whole number of nanoseconds"),
        (r#""timeout": []"#, "'timeout': expected a duration, got array"),
        (
            r#""max_retries": "{{user `bad`}}""#,
            "max_retries must be a whole number, not \"x\". The same in one more build.",
        ),
        (r#""max_retries": "{{nope}}""#, "function \"nope\" not defined"),
        (r#""max_retries": {}"#, "'max_retries': expected type 'string', got object"),
        (r#""only": ["v"]"#, "provisioner 1: 'only' specified builder 'v' not found"),
        (
            r#""except": ["nul"]"#,
            "provisioner 1: 'except' specified builder 'nul' not found [did you mean \"null\"?]",
        ),
        (
            r#""only": ["null"], "except": ["null"]"#,
            "provisioner 1: only one of 'only' or 'except' may be specified",
        ),
        (r#""only": 5"#, "'only': expected type 'array', got number"),
        (r#""override": []"#, "provisioner 1: 'override': expected type 'object', got array"),
        (r#""override": {"null": 5}"#, "provisioner 1: override 'null': expected type 'object', got number"),
        (r#""override": {"v": {}}"#, "provisioner 1: override 'v' doesn't exist"),
    ];
    for (members, expected) in cases {
        let shown = provisioner(members);
        assert!(shown.contains(expected), "{members}: {shown}");
    }
}

/// The lines about post-processors beside a builder `null`.
fn post_processors(list: &str) -> String {
    let shown = json(&format!(r#"{{"builders": [{{"type": "null"}}], "post-processors": {list}}}"#));
    let shown = shown.strip_prefix("null (null): null {}\n").unwrap_or(&shown);
    shown.lines().map(|line| line.trim_start_matches("  post ")).collect::<Vec<_>>().join("; ")
}

#[test]
fn post_processors_are_sequences() {
    let cases = [
        ("[]", ""),
        (r#"["a", "b"]"#, r#""a" a {}; "b" b {}"#),
        (r#"[["a", {"type": "b", "x": 1}], []]"#, r#""a" a {} > "b" b {x=1}"#),
        (r#"[{"type": "a", "name": "n", "keep_input_artifact": false}]"#, r#""n" a {} keep=false"#),
        (r#"[{"type": "a", "keep_input_artifact": null}]"#, r#""a" a {}"#),
        (
            r#"[["a", {"type": "b", "except": ["null"]}, {"type": "c", "only": ["null"]}]]"#,
            r#""a" a {} > "c" c {}"#,
        ),
        (r#"[{"type": "a", "except": ["null"]}]"#, ""),
    ];
    for (list, expected) in cases {
        assert_eq!(post_processors(list), expected, "{list}");
    }
    let mistakes = [
        (
            r#"[{"type": "a", "keep_input_artifact": "true"}]"#,
            "post-processor 1.1: 'keep_input_artifact': expected type 'bool', got string",
        ),
        (r#"[{"type": "a", "only": "null"}]"#, "'only': expected type 'array', got string"),
        (
            r#"["a", ["b", {"type": "c", "only": ["x"]}]]"#,
            "post-processor 2.2: 'only' specified builder 'x' not found",
        ),
        (r#"[{"name": "n"}]"#, "post-processor 1.1: missing 'type'"),
        (r#"[[["deep"]]]"#, "post-processor 1.1: expected type 'object', got array"),
        (r#"[{"type": 5}]"#, "'type': expected type 'string', got number"),
    ];
    for (list, expected) in mistakes {
        let shown = post_processors(list);
        assert!(shown.contains(expected), "{list}: {shown}");
    }
}

#[test]
fn builders_need_types_and_names_of_their_own() {
    let cases = [
        (r#"{"name": "x"}"#, "builder 1: missing 'type'"),
        (r#"{"type": ""}"#, "builder 1: missing 'type'"),
        (r#"{"type": "a"}, {"type": "b", "name": "a"}"#, "builder 2: builder with name 'a' already exists"),
        (r#"{"type": "a", "name": 5}"#, "'name': expected type 'string', got number"),
    ];
    for (builders, expected) in cases {
        let shown = json(&format!(r#"{{"builders": [{builders}]}}"#));
        assert!(shown.contains(expected), "{builders}: {shown}");
    }
    let cleanup = json(r#"{"builders": [{"type": "null"}], "error-cleanup-provisioner": {"inline": []}}"#);
    assert!(cleanup.contains("error-cleanup-provisioner: missing 'type'"), "{cleanup}");
}
