//! Traps of values: what is there where, what is not known yet, functions, secrets, the words about mistakes.

use super::{run, shell_local, template, with};

/// The complaints of `validate` about a template.
fn validate(text: &str) -> String {
    run(text, &["validate"]).stdout
}

#[test]
fn trap_06_source_and_build_are_there_only_in_some_places() {
    let cases = [
        (
            "source \"null\" \"a\" { communicator = build.name }\nbuild { sources = [\"null.a\"] }\n"
                .to_owned(),
            "build",
        ),
        (
            template(
                &["a"],
                "  provisioner \"shell-local\" {\n    max_retries = source.name\n    inline = [\"x\"]\n  }",
            ),
            "value must be known",
        ),
        (template(&["a"], &shell_local("provisioner", "${build.Nonsense}")), "Unsupported attribute"),
        (format!("locals {{ x = build.ID }}\n{}", template(&["a"], "")), "build"),
    ];
    for (text, expected) in cases {
        let shown = validate(&text);
        assert!(shown.starts_with("Error") && shown.contains(expected), "{text}: {shown}");
    }
    let good =
        template(&["a"], &shell_local("provisioner", "echo ${build.ID} ${source.name} ${upper(build.Host)}"));
    assert_eq!(validate(&good), "The configuration is valid.\n");
}

#[test]
fn trap_07_configs_are_evaluated_again_right_before_they_are_used() {
    let inside = format!(
        "  name = \"n\"\n{}{}{}",
        shell_local("provisioner", "echo in ${build.name} ${source.name} [${build.ID}]"),
        shell_local("post-processor", "echo 'after ${build.name} [${build.ID}] [${build.Host}]'"),
        "  post-processor \"manifest\" {\n    output = \"m-${build.ID}.json\"\n  }\n"
    );
    let place = with("t.pkr.hcl", &template(&["a"], &inside));
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0).expect("in n a [Null]");
    // The artifact of the null builder tells its ID alone.
    ran.expect("after n [Null] [<unknown>]");
    place.read("m-Null.json");
}

#[test]
fn trap_08_unknown_values_are_empty_ones_to_components_before_the_run() {
    let list = "data \"null\" \"d\" {\n  input = \"a,b\"\n}\nlocals {\n  lines = [for x in split(\",\", data.null.d.output) : \"echo ${x}\"]\n}\n";
    let text = format!(
        "{list}{}",
        template(&["a"], "  provisioner \"shell-local\" {\n    inline = local.lines\n  }")
    );
    run(&text, &["validate"]).expect_code(1).expect("inline");
    run(&text, &["validate", "-evaluate-datasources"]).expect_code(0);
    run(&text, &["build"]).expect_code(0).expect("==> null.a: a\n");
    let name = format!("{list}{}", template(&["a"], "  name = data.null.d.output"));
    run(&name, &["validate"]).expect_code(1).expect("value must be known");
    run(&name, &["validate", "-evaluate-datasources"]).expect_code(0);
}

#[test]
fn trap_09_data_sources_are_asked_early_and_dependencies_are_read_off_the_text() {
    let data =
        "data \"null\" \"d\" {\n  input = \"answer\"\n}\nlocals {\n  from_data = data.null.d.output\n}\n";
    let text = format!("{data}{}", template(&["a"], ""));
    run(&text, &["inspect"]).expect_code(0).expect("local.from_data: \"answer\"");
    // Nobody needs the answer, and yet its absence is an error.
    let failing = "data \"http\" \"d\" {\n  url = \"http://127.0.0.1:1/\"\n}\n";
    run(&format!("{failing}{}", template(&["a"], "")), &["build"]).expect_code(1);
    run(&format!("{failing}{}", template(&["a"], "")), &["validate"]).expect_code(0);
    let dead_branch = "locals {\n  x = true ? 1 : local.nope\n}\n";
    let shown = validate(&format!("{dead_branch}{}", template(&["a"], "")));
    assert!(shown.contains("failed to prepare execution graph") && shown.contains("local.nope"), "{shown}");
    let cycle = "locals {\n  a = local.b\n  b = local.a\n}\n";
    assert!(validate(&format!("{cycle}{}", template(&["a"], ""))).contains("Cycle: local."));
    let itself = "locals {\n  a = local.a\n}\n";
    assert!(validate(&format!("{itself}{}", template(&["a"], ""))).contains("Self reference: local.a"));
}

#[test]
fn trap_18_mistakes_tell_file_and_line_and_kiln_shows_the_line_always() {
    let late = template(&["a"], "  provisioner \"shell-local\" {\n    inline = [var.nope]\n  }");
    for (text, line) in [("variable \"x\" {\n  type = strin\n}\n".to_owned(), 2), (late, 7)] {
        let ran = run(&text, &["validate"]);
        ran.expect_code(1).expect(&format!("on t.pkr.hcl line {line}"));
        let source = text.lines().nth(line - 1).unwrap_or_default();
        ran.expect(&format!("{line:4}: {source}\n")).expect_not("source code not available");
    }
}

#[test]
fn trap_19_a_build_adds_to_a_source_and_the_declared_name_stays() {
    let build = |inside: &str| {
        format!(
            "source \"null\" \"a\" {{\n  communicator = \"none\"\n}}\nbuild {{\n  source \"null.a\" {{\n{inside}\n  }}\n{}}}\n",
            shell_local("provisioner", "echo name $PACKER_BUILD_NAME")
        )
    };
    run(&build("    communicator = \"ssh\""), &["validate"]).expect_code(1).expect("Duplicate argument");
    let named = format!("variable \"v\" {{ default = \"x\" }}\n{}", build("    name = var.v"));
    run(&named, &["validate"]).expect_code(1).expect("Variables not allowed");
    let ran = run(&build("    name = \"local\""), &["build"]);
    ran.expect_code(0).expect("Build 'null.local' finished").expect("==> null.local: name a\n");
}

#[test]
fn trap_20_references_to_sources_are_texts_with_any_first_part() {
    let build = |reference: &str| {
        format!(
            "source \"null\" \"a\" {{\n  communicator = \"none\"\n}}\nbuild {{\n  sources = [{reference}]\n}}\n"
        )
    };
    for good in ["\"null.a\"", "\"source.null.a\"", "\"sources.null.a\"", "\"foo.null.a\"", "\"x.null.a.y\""]
    {
        run(&build(good), &["validate"]).expect_code(0);
    }
    for bad in ["source.null.a", "\"null\"", "\"null.b\"", "\"nu ll.a\""] {
        run(&build(bad), &["validate"]).expect_code(1);
    }
}

#[test]
fn trap_21_the_functions_are_packers_not_terraforms() {
    let place = with("d/t.pkr.hcl", "");
    place.write("d/beside.txt", "beside the template");
    place.write("here.txt", "here");
    let cases = [
        ("convert(\"5\", number)", Some("5")),
        ("tonumber(\"5\")", None),
        ("tostring(5)", None),
        ("lookup({a = 1}, \"a\", 2)", Some("1")),
        ("lookup({a = 1}, \"a\")", None),
        ("replace(\"abc\", \"/b/\", \"x\")", Some("abc")),
        ("regex_replace(\"abc\", \"b\", \"x\")", Some("axc")),
        ("element([\"a\", \"b\"], 3)", Some("b")),
        ("element([\"a\", \"b\"], -1)", None),
        ("env(\"HOME\")", None),
        ("file(\"beside.txt\")", Some("beside the template")),
        ("file(\"here.txt\")", None),
        ("filebase64(\"here.txt\")", Some("aGVyZQ==")),
        ("filebase64(\"beside.txt\")", None),
    ];
    let locals: Vec<String> =
        cases.iter().enumerate().map(|(i, (text, _))| format!("  x{i} = {text}\n")).collect();
    place.write("d/t.pkr.hcl", format!("locals {{\n{}}}\n", locals.concat()));
    let ran = place.run(["inspect", "d/t.pkr.hcl"]);
    for (i, (text, value)) in cases.iter().enumerate() {
        let shown = ran.stdout.lines().find_map(|l| l.strip_prefix(&format!("local.x{i}: ")));
        let expected = value.map(|v| format!("{v:?}"));
        assert_eq!(shown, expected.as_deref(), "{text}");
    }
    let default = with("t.pkr.hcl", "variable \"x\" {\n  default = upper(env(\"HOME\"))\n}\n");
    default.run(["validate", "-syntax-only", "t.pkr.hcl"]).expect_code(1).expect("Call to unknown function");
}

#[test]
fn trap_22_secrets_are_replaced_wherever_they_stand() {
    let text = format!(
        "variable \"password\" {{\n  default   = \"s3cr3t\\nsecond line\"\n  sensitive = true\n}}\n{}",
        template(&["a"], &shell_local("provisioner", "echo 'my s3cr3t word' && echo 'second line'"))
    );
    let ran = run(&text, &["build"]);
    ran.expect_code(0)
        .expect("==> null.a: my <sensitive> word\n")
        .expect_not("s3cr3t")
        .expect_not("second line");
    let derived = "variable \"p\" {\n  default   = \"s3cr3t\"\n  sensitive = true\n}\nlocals {\n  url  = \"https://me:${var.p}@x\"\n  hash = sha1(var.p)\n}\n";
    let ran = run(derived, &["inspect"]);
    ran.expect("var.p: \"<sensitive>\"\n").expect("local.url: \"https://me:<sensitive>@x\"\n");
    // Packer shows what was made of a secret when the secret can't be found in it any more.
    ran.expect("local.hash: \"<sensitive>\"\n");
}

#[test]
fn trap_23_legacy_json_is_strict() {
    let builders = r#""builders": [{"type": "null", "communicator": "none"}]"#;
    let cases = [
        (format!(r#"{{"variables": {{"x": 1}}, {builders}}}"#), Some("string")),
        (format!(r#"{{"variables": {{"x": "a"}}, "variables": {{}}, {builders}}}"#), Some("variables")),
        (r#"{"Builders": [{"type": "null", "communicator": "none"}], "_note": "fine"}"#.to_owned(), None),
        (format!(r#"{{"note": "x", {builders}}}"#), Some("note")),
        (
            r#"{"builders": [{"type": "null", "communicator": "none", "_note": "x"}]}"#.to_owned(),
            Some("_note"),
        ),
        (format!(r#"{{"variables": {{"x": "{{{{env `HOME`}}}}"}}, {builders}}}"#), None),
        (
            format!(
                r#"{{{builders}, "provisioners": [{{"type": "shell-local", "inline": ["{{{{env `HOME`}}}}"]}}]}}"#
            ),
            Some("env"),
        ),
        (
            format!(
                r#"{{{builders}, "provisioners": [{{"type": "shell-local", "inline": ["echo [{{{{user `unset`}}}}]"]}}]}}"#
            ),
            None,
        ),
    ];
    for (text, complaint) in cases {
        let ran = with("t.json", &text).run(["validate", "t.json"]);
        assert_eq!(ran.code(), i32::from(complaint.is_some()), "{text}: {}", ran.stdout);
        assert!(complaint.is_none_or(|c| ran.stdout.contains(c)), "{text}: {}", ran.stdout);
    }
    // HCL2 texts still go through the same engine, in which `user`, `build` and `template_dir` mean nothing.
    for action in ["{{ user `x` }}", "{{ build `ID` }}", "{{ template_dir }}"] {
        run(&template(&["a"], &shell_local("provisioner", action)), &["validate"]).expect_code(1);
    }
    let ran = run(
        &template(&["a"], &shell_local("provisioner", "echo {{ upper `x` }} {{ build_name }}")),
        &["build"],
    );
    ran.expect_code(0).expect("==> null.a: X a\n");
}
