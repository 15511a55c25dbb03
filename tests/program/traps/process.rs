//! Traps of the process: streams, flags, files that are read, versions, the shapes of lines.

use super::{run, shell_local, template, with};

#[test]
fn trap_01_errors_go_to_standard_output_and_colour_ignores_the_terminal() {
    let mut place = with("bad.pkr.hcl", "nonsense {}");
    place.write("good.pkr.hcl", template(&["a"], ""));
    let ran = place.run(["validate", "bad.pkr.hcl"]);
    ran.expect_code(1).expect("Error: Unsupported block type");
    assert_eq!(ran.stderr, "");
    for (value, coloured) in [("", true), ("0", false), ("1", false)] {
        place.set("PACKER_NO_COLOR", value);
        let ran = place.run(["build", "good.pkr.hcl"]);
        assert_eq!(ran.stdout.contains("\u{1b}[1;32m"), coloured, "PACKER_NO_COLOR={value}: {}", ran.stdout);
    }
    place.set("PACKER_NO_COLOR", "");
    place.run(["build", "-color=false", "good.pkr.hcl"]).expect_code(0).expect_not("\u{1b}");
}

#[test]
fn trap_02_flags_stop_at_the_first_template_and_one_spelling_switches_to_machine_lines() {
    let place = with("t.pkr.hcl", &template(&["a"], ""));
    let cases: [(&[&str], i32, &str); 7] = [
        (&["validate", "t.pkr.hcl", "-syntax-only"], 1, "exactly one template"),
        (&["validate", "-syntax-only=false", "t.pkr.hcl"], 0, "The configuration is valid."),
        (&["validate", "--syntax-only", "t.pkr.hcl"], 0, "Syntax-only check passed."),
        (
            &["validate", "--machine-readable", "t.pkr.hcl"],
            1,
            "flag provided but not defined: -machine-readable",
        ),
        (&["validate", "t.pkr.hcl", "-machine-readable"], 0, ",,ui,say,The configuration is valid."),
        (&["build", "--machine-readable", "t.pkr.hcl"], 0, "Build 'null.a' finished after"),
        (&["-machine-readable", "build", "t.pkr.hcl"], 0, ",null.a,artifact-count,1"),
    ];
    for (words, code, expected) in cases {
        let ran = place.run(words);
        assert_eq!(ran.code(), code, "{words:?}: {}", ran.stdout);
        assert!(ran.stdout.contains(expected), "{words:?}: {}", ran.stdout);
    }
    place.run(["build", "--machine-readable", "t.pkr.hcl"]).expect_not(",,ui,");
}

#[test]
fn trap_03_var_files_load_by_themselves_only_for_a_directory() {
    let place = with("d/t.pkr.hcl", "variable \"x\" { default = \"default\" }\n");
    let inspect = |path: &str, expected: &str| {
        place.run(["inspect", path]).expect_code(0).expect(&format!("var.x: {expected:?}\n"));
    };
    place.write("d/sub.auto.pkrvars.hcl/x.auto.pkrvars.hcl", "x = \"sub-directory\"\n");
    inspect("d", "default");
    place.write("d/.hidden.auto.pkrvars.hcl", "x = \"hidden\"\n");
    inspect("d", "hidden");
    place.write("d/z.auto.pkrvars.hcl", "x = \"hcl\"\n");
    inspect("d", "hcl");
    place.write("d/a.auto.pkrvars.json", "{\"x\": \"json\"}\n");
    inspect("d", "json");
    place.write("d/plain.pkrvars.hcl", "x = \"never\"\n");
    place.write("d/other.pkr.hcl", "nonsense {}\n");
    inspect("d/t.pkr.hcl", "default");
}

#[test]
fn trap_04_a_text_given_for_a_variable_is_literal_or_an_expression_by_its_type() {
    let cases = [
        ("type = string", "\"q\"", "\"\\\"q\\\"\""),
        ("type = number", "5", "\"5\""),
        ("", "[\"a\"]", "\"[\\\"a\\\"]\""),
        ("default = []", "[\"a\"]", "\"[\\\"a\\\"]\""),
        ("default = null", "true", "\"true\""),
        ("default = [\"a\"]", "[\"b\"]", "\"[\\n  \\\"b\\\",\\n]\""),
        ("type = list(string)", "[\"a\", \"b\"]", "\"[\\n  \\\"a\\\",\\n  \\\"b\\\",\\n]\""),
    ];
    for (declaration, text, shown) in cases {
        let template = format!("variable \"x\" {{ {declaration} }}\n");
        let mut place = with("t.pkr.hcl", &template);
        let expected = format!("var.x: {shown}\n");
        place.run(["inspect", "-var", &format!("x={text}"), "t.pkr.hcl"]).expect_code(0).expect(&expected);
        place.set("PKR_VAR_x", text);
        place.run(["inspect", "t.pkr.hcl"]).expect_code(0).expect(&expected);
    }
    let tuple = with("t.pkr.hcl", "variable \"x\" { default = [\"a\"] }\n");
    let ran = tuple.run(["validate", "-syntax-only", "-var", "x=[\"a\", \"b\"]", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Invalid argument value for -var variable");
}

#[test]
fn trap_05_every_declared_variable_must_be_set_and_strangers_depend_on_where_they_come_from() {
    let mut place = with("t.pkr.hcl", &format!("variable \"unused\" {{}}\n{}", template(&["a"], "")));
    place.run(["validate", "t.pkr.hcl"]).expect_code(1).expect("Unset variable \"unused\"");
    place.run(["build", "t.pkr.hcl"]).expect_code(1).expect("Unset variable \"unused\"");
    place.run(["validate", "-syntax-only", "t.pkr.hcl"]).expect_code(0);
    place.run(["inspect", "t.pkr.hcl"]).expect_code(0).expect("var.unused: \"<unknown>\"");
    place.write("v.pkrvars.hcl", "unused = 1\nstranger = 2\n");
    let warned = "Warning: Undefined variable";
    place.run(["validate", "-var-file=v.pkrvars.hcl", "t.pkr.hcl"]).expect_code(0).expect(warned);
    let quiet = ["validate", "-no-warn-undeclared-var", "-var-file=v.pkrvars.hcl", "t.pkr.hcl"];
    place.run(quiet).expect_code(0).expect_not(warned);
    place.run(["build", "-var-file=v.pkrvars.hcl", "t.pkr.hcl"]).expect_code(0).expect_not(warned);
    let loud = ["build", "-warn-on-undeclared-var", "-var-file=v.pkrvars.hcl", "t.pkr.hcl"];
    place.run(loud).expect_code(0).expect(warned);
    let ran = place.run(["validate", "-var", "unused=1", "-var", "stranger=2", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Undefined -var variable");
    place.set("PKR_VAR_stranger", "2");
    place.set("PKR_VAR_unused", "1");
    place.run(["validate", "t.pkr.hcl"]).expect_code(0).expect_not("stranger");
    place.write(
        "t.json",
        r#"{"variables": {"unused": null}, "builders": [{"type": "null", "communicator": "none"}]}"#,
    );
    place.run(["validate", "t.json"]).expect_code(1).expect("unused");
}

#[test]
fn trap_24_the_version_gate_comes_first_and_says_nothing_else() {
    let gate = |constraint: &str| {
        run(&format!("packer {{ required_version = \"{constraint}\" }}\nnonsense {{}}\n"), &["validate"])
    };
    gate(">= 1.17").expect_code(1).expect("Unsupported Packer Core version").expect_not("nonsense");
    gate(">= 1.16.0").expect_code(1).expect("nonsense").expect_not("Unsupported Packer Core version");
    let legacy = |version: &str| {
        let text = format!(
            r#"{{"min_packer_version": "{version}", "builders": [{{"type": "null", "communicator": "none"}}]}}"#
        );
        with("t.json", &text).run(["validate", "t.json"])
    };
    legacy("1.16.0").expect_code(0);
    legacy("1.17.0").expect_code(1).expect("1.17.0").expect("1.16.0");
    // A built-in component wins over what a required plug-in might bring.
    let required = "packer {\n  required_plugins {\n    null = {\n      source  = \"example.com/x/null\"\n      version = \"1\"\n    }\n  }\n}\n";
    run(&format!("{required}{}", template(&["a"], "")), &["validate"]).expect_not("Unknown source type");
}

#[test]
fn trap_25_lines_that_scripts_read_have_packers_shape() {
    let posts = format!(
        "  post-processor \"manifest\" {{}}\n  post-processor \"manifest\" {{\n    name = \"named\"\n  }}\n{}",
        shell_local("post-processor", "echo after, all")
    );
    let place = with("t.pkr.hcl", &template(&["a"], &posts));
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0)
        .expect("==> null.a: Running post-processor:  (type manifest)\n")
        .expect("==> null.a: Running post-processor: named (type manifest)\n")
        .expect("==> null.a (shell-local): after, all\n")
        .expect("\nBuild 'null.a' finished after ")
        .expect("\n==> Wait completed after ");
    let stamped = place.run(["build", "-timestamp-ui", "t.pkr.hcl"]);
    let line = stamped.stdout.lines().find(|l| l.contains("(shell-local): after")).unwrap_or_default();
    let (time, rest) = line.split_once(": ").unwrap_or_default();
    assert!(time.contains('T') && rest.starts_with("==> null.a (shell-local)"), "{line}");
    let machine = place.run(["build", "-machine-readable", "t.pkr.hcl"]);
    machine.expect_code(0).expect(",,ui,say,==> null.a (shell-local): after%!(PACKER_COMMA) all\n");
    place.run(["version", "-machine-readable"]).expect_code(0).expect(",,version-prelease,");
    place.run::<&str>([]).expect_code(127);
    place.run(["bogus"]).expect_code(127);
    place.write("ugly.pkr.hcl", "locals {\n a=1\n}\n");
    place.run(["fmt", "-check", "ugly.pkr.hcl"]).expect_code(3);
    place.run(["fmt", "ugly.pkr.hcl"]).expect_code(0).expect("ugly.pkr.hcl\n");
    place.run(["fmt", "-check", "ugly.pkr.hcl"]).expect_code(0);
    for words in [&["inspect"] as &[&str], &["inspect", "t.pkr.hcl", "t.pkr.hcl"]] {
        let ran = place.run(words);
        ran.expect_code(0).expect("Packer Inspect: JSON mode\n").expect("Builders:\n\n  null\n");
    }
}

#[test]
fn trap_25_durations_have_two_units_at_most() {
    let ran = run(&template(&["a"], ""), &["build"]);
    let line =
        ran.stdout.lines().find(|l| l.starts_with("Build 'null.a' finished after ")).unwrap_or_default();
    let words = line.trim_end_matches('.').split(' ').skip(4).count();
    assert!((2..=4).contains(&words) && words % 2 == 0, "{line}");
}
