//! Blocks: how many there may be, what they may hold, and what they give.

use super::{World, hcl, outcome, request, value_shown};

const NULL: &str = "source \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n";

fn with(text: &str) -> String {
    hcl(&format!("{text}\n{NULL}"))
}

#[test]
fn some_blocks_may_stand_many_times() {
    let text = "packer { required_version = \">= 1.7\" }\npacker {\n required_plugins {}\n required_plugins {}\n}\n\
                variables { a = 1 }\nvariables { b = 2 }\nlocals { c = 3 }\nlocals { d = 4 }\nlocal \"e\" { expression = 5 }\n\
                communicator \"ssh\" \"x\" { anything = [] }\n";
    assert_eq!(with(text), "null.a (a): null {}\n");
}

#[test]
fn names_are_told_twice_only_where_they_may() {
    let cases = [
        ("variables { a = 1 }\nvariable \"a\" {}", "Duplicate variable"),
        ("locals { a = 1 }\nlocals { a = 2 }", "Duplicate local definition"),
        ("data \"x\" \"a\" {}\ndata \"x\" \"a\" {}", "Duplicate data block"),
        ("source \"null\" \"a\" {}", "Duplicate source block"),
        (
            "packer {\n required_plugins {\n p = { source = \"a.b/c/p\", version = \"1\" }\n }\n required_plugins {\n p = { source = \"a.b/d/p\", version = \"1\" }\n }\n}",
            "Duplicate required_plugin.\"p\" block",
        ),
        ("variable \"a b\" {}", "Invalid variable name"),
        ("local \"1\" { expression = 1 }", "Invalid local name"),
        ("data \"x\" \"a b\" {}", "Invalid data source name"),
        ("local \"a\" {\n expression = 1\n sensitive = var.x\n}", "Variables not allowed"),
    ];
    for (text, expected) in cases {
        assert!(with(text).contains(expected), "{text}: {}", with(text));
    }
}

#[test]
fn dynamic_blocks_stand_in_builds_and_components_alone() {
    let cases = [
        "dynamic \"source\" {\n for_each = [1]\n labels = [\"null\", \"b\"]\n content {}\n}",
        "data \"null\" \"d\" {\n dynamic \"x\" {\n for_each = [1]\n content {}\n }\n}",
        "variable \"v\" {\n dynamic \"validation\" {\n for_each = [1]\n content {}\n }\n}",
    ];
    for text in cases {
        assert!(with(text).contains("Unsupported block type"), "{text}: {}", with(text));
    }
    let malformed = [
        ("for_each = [1]\n labels = [\"p\"]", "a \"content\" block"),
        ("labels = [\"p\"]\n content {}", "\"for_each\""),
        ("for_each = 1\n labels = [\"p\"]\n content {}", "Cannot use a number value in for_each"),
        ("for_each = null\n labels = [\"p\"]\n content {}", "Cannot use a null value in for_each"),
        (
            "for_each = [1]\n iterator = \"a b\" == 1\n labels = [\"p\"]\n content {}",
            "must be a single variable name",
        ),
        ("for_each = [1]\n content {}", "Missing type for provisioner"),
    ];
    for (inside, expected) in malformed {
        let text = format!(
            "source \"null\" \"a\" {{}}\nbuild {{\n sources = [\"null.a\"]\n dynamic \"provisioner\" {{\n {inside}\n }}\n}}\n"
        );
        assert!(hcl(&text).contains(expected), "{inside}: {}", hcl(&text));
    }
}

#[test]
fn the_registry_block_is_checked_and_otherwise_ignored() {
    let long = "x".repeat(256);
    let cases = [
        ("bucket_name = \"good-name-1\"\n whatever = nothing", None),
        ("bucket_name = \"\"", None),
        ("bucket_labels = {a = 1}\n build_labels = {b = \"c\"}\n channels = [\"d\"]", None),
        ("bucket_name = \"ab\"", Some("between 3 and 36")),
        ("bucket_name = \"under_score\"", Some("between 3 and 36")),
        ("bucket_name = [1]", Some("Unsuitable value type")),
        ("bucket_labels = \"x\"", Some("Unsuitable value type")),
        ("labels = {a = 1}\n bucket_labels = {a = 1}", Some("mutually exclusive")),
        ("labels = {a = 1}", Some("Warning: t.pkr.hcl:2: Deprecated argument")),
        (&*format!("description = \"{long}\""), Some("maximum length of 255")),
    ];
    for (inside, expected) in cases {
        for text in [
            format!("hcp_packer_registry {{\n {inside}\n}}\n{NULL}"),
            format!(
                "source \"null\" \"a\" {{}}\nbuild {{\n sources = [\"null.a\"]\n hcp_packer_registry {{\n {inside}\n }}\n}}\n"
            ),
        ] {
            let shown = hcl(&text);
            match expected {
                None => assert_eq!(shown, "null.a (a): null {}\n", "{inside}"),
                Some(words) if words.starts_with("Warning") => {
                    assert!(shown.contains("Deprecated argument"), "{shown}");
                }
                Some(words) => assert!(shown.contains("Error") && shown.contains(words), "{inside}: {shown}"),
            }
        }
    }
    let twice = "hcp_packer_registry {}\nhcp_packer_registry {}";
    assert!(with(twice).contains("Only one hcp_packer_registry is allowed"));
}

#[test]
fn the_root_is_the_directory_as_it_was_given() {
    let text = "source \"null\" \"a\" { x = path.root }\nbuild { sources = [\"null.a\"] }\n";
    for (argument, root) in
        [("d", "d"), ("./d", "./d"), ("d/", "d/"), ("d/t.pkr.hcl", "d"), ("/start/d", "/start/d")]
    {
        let world = World::default().file("d/t.pkr.hcl", text);
        assert_eq!(value_shown(&outcome(world, &request(argument))), format!("{root:?}"), "{argument}");
    }
}

#[test]
fn values_of_every_type_pass_through_variables() {
    let cases = [
        (
            "type = object({a = string, b = optional(number), c = optional(bool, true)})\n default = {a = 1}",
            "var.x",
            r#"{"a": "1", "b": null, "c": true}"#,
        ),
        ("type = tuple([string, number])\n default = [1, \"2\"]", "var.x", "[\"1\", 2]"),
        ("type = set(string)\n default = [\"b\", \"a\", \"b\"]", "var.x", "{\"a\", \"b\"}"),
        ("type = map(any)\n default = {a = 1}", "var.x.a + 1", "2"),
        ("type = list(object({n = number}))\n default = [{n = \"1\"}, {n = 2}]", "var.x[*].n", "[1, 2]"),
        ("type = any\n default = \"t\"", "var.x", "\"t\""),
        ("type = string\n default = null", "var.x", "null"),
        ("type = bool\n default = \"true\"", "!var.x", "false"),
    ];
    for (inside, expression, value) in cases {
        let text = format!(
            "variable \"x\" {{\n {inside}\n}}\nsource \"null\" \"a\" {{ x = {expression} }}\nbuild {{ sources = [\"null.a\"] }}\n"
        );
        assert_eq!(value_shown(&hcl(&text)), value, "{inside}");
    }
}

#[test]
fn json_syntax_has_the_same_blocks() {
    let check = |text: &str| outcome(World::default().file("t.pkr.json", text), &request("t.pkr.json"));
    let source = r#""source": {"null": {"a": {}}}"#;
    let good = [
        format!(r#"{{"//": "comment", {source}, "build": {{"//": 1, "sources": ["null.a"]}}}}"#),
        format!(r#"{{{source}, "build": [{{"sources": ["null.a"]}}]}}"#),
        r#"{"source": [{"null": [{"a": {}}]}], "build": [{"sources": ["${var.s}"]}], "variable": {"s": {"default": "null.a"}}}"#
            .to_owned(),
        format!(r#"{{{source}, "build": {{"source": {{"null.a": {{}}}}}}}}"#),
    ];
    for text in good {
        assert_eq!(check(&text), "null.a (a): null {}\n", "{text}");
    }
    let bad = [
        (format!(r#"{{"nonsense": 1, {source}}}"#), "Extraneous JSON object property"),
        (r#"{"variable": {"x": {"defualt": 1}}}"#.to_owned(), "defualt"),
        (r#"{"locals": {"x": "${upper(}"}}"#.to_owned(), "Error"),
        (r#"{"build": {"sources": ["null.a"]}"#.to_owned(), "Error"),
    ];
    for (text, expected) in bad {
        assert!(check(&text).contains(expected), "{text}: {}", check(&text));
    }
}
