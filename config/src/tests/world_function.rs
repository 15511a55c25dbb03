//! Functions that ask the world.

use super::{World, outcome, request, value_shown};

/// The value of an expression in a template of directory `d`.
fn value(expression: &str) -> String {
    let text =
        format!("source \"null\" \"a\" {{\n x = {expression}\n}}\nbuild {{ sources = [\"null.a\"] }}\n");
    let world = World::default()
        .file("d/t.pkr.hcl", &text)
        .file("d/hello.txt", "Hello\n")
        .file("d/hello.tmpl", "Hello, ${name}!%{ for x in list } ${x}%{ endfor }")
        .file("d/recursive.tmpl", "${templatefile(\"recursive.tmpl\", {})}")
        .file("d/s/a.txt", "")
        .file("d/s/t/b.txt", "")
        .file("icon", "\u{1}\u{2}")
        .file("/home/me/k.pub", "ssh-rsa");
    let shown = outcome(world, &request("d/t.pkr.hcl"));
    value_shown(&shown)
}

#[test]
fn files_are_found_from_the_template_and_paths_from_the_start() {
    let cases = [
        ("file(\"hello.txt\")", r#""Hello\n""#),
        ("file(\"~/k.pub\")", "\"ssh-rsa\""),
        ("filebase64(\"icon\")", "\"AQI=\""),
        ("fileexists(\"hello.txt\")", "true"),
        ("fileexists(\"absent\")", "false"),
        ("fileset(\"s\", \"**/*.txt\")", r#"{"a.txt", "t/b.txt"}"#),
        ("fileset(\"s\", \"*\")", r#"{"a.txt"}"#),
        ("templatefile(\"hello.tmpl\", {name = \"you\", list = [1, 2]})", r#""Hello, you! 1 2""#),
        ("abspath(\"x/../y\")", "\"/start/y\""),
        ("pathexpand(\"~/x\")", "\"/home/me/x\""),
        ("path.root", "\"d\""),
        ("path.cwd", "\"/start\""),
        ("packer.version", "\"1.16.0\""),
        ("timestamp()", "\"2023-11-14T22:13:20Z\""),
        ("legacy_isotime(\"2006\")", "\"2020\""),
        ("uuidv4()", "\"6f1b8f2e-5a64-4d0c-9c40-6a1a45c6a5f3\""),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn failures_name_the_file() {
    let cases = [
        ("file(\"absent\")", "d/absent: no such file or directory"),
        ("fileexists(\"s\")", "d/s is not a regular file"),
        ("templatefile(\"recursive.tmpl\", {})", "no function named \"templatefile\""),
        ("templatefile(\"hello.tmpl\", {list = []})", "failed to render d/hello.tmpl"),
        ("templatefile(\"hello.tmpl\", {\"1\" = 2})", "can't name a variable"),
        ("file(\"~you/x\")", "home directory of another user"),
    ];
    for (expression, expected) in cases {
        let shown = value(expression);
        assert!(shown.contains(expected), "{expression}: {shown}");
    }
}
