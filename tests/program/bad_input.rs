//! Bad input: a clear message, the right exit code, nothing left behind.

use super::place;

/// A template, what is run on it, and what must be printed.
struct Case {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    words: &'static [&'static str],
    printed: &'static [&'static str],
}

const NULL: &str = "source \"null\" \"a\" {\n  communicator = \"none\"\n}\n";

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "unknown option, with a suggestion",
            file: "t.pkr.hcl",
            text: "source \"null\" \"a\" {\n  comunicator = \"none\"\n}\nbuild {\n  sources = [\"null.a\"]\n}\n",
            words: &["validate", "t.pkr.hcl"],
            printed: &["on t.pkr.hcl line 2", "comunicator", "\"communicator\""],
        },
        Case {
            name: "unknown variable",
            file: "t.pkr.hcl",
            text: "variable \"name\" {\n  default = \"x\"\n}\nlocals {\n  y = var.nmae\n}\nbuild {\n  sources = [\"null.a\"]\n}\nsource \"null\" \"a\" {\n  communicator = \"none\"\n}\n",
            words: &["validate", "t.pkr.hcl"],
            printed: &["on t.pkr.hcl line 5", "nmae", "\"name\""],
        },
        Case {
            name: "wrong type",
            file: "t.pkr.hcl",
            text: "source \"null\" \"a\" {\n  communicator = \"none\"\n  ssh_port = \"many\"\n}\nbuild {\n  sources = [\"null.a\"]\n}\n",
            words: &["validate", "t.pkr.hcl"],
            printed: &["on t.pkr.hcl line 3", "ssh_port"],
        },
        Case {
            name: "unset variable",
            file: "t.pkr.hcl",
            text: "variable \"x\" {}\nbuild {\n  sources = [\"null.a\"]\n}\nsource \"null\" \"a\" {\n  communicator = \"none\"\n}\n",
            words: &["build", "t.pkr.hcl"],
            printed: &["Unset variable \"x\""],
        },
        Case {
            name: "undeclared -var",
            file: "t.pkr.hcl",
            text: "build {\n  sources = [\"null.a\"]\n}\nsource \"null\" \"a\" {\n  communicator = \"none\"\n}\n",
            words: &["build", "-var", "x=1", "t.pkr.hcl"],
            printed: &["Undefined -var variable"],
        },
        Case {
            name: "invalid JSON with a line",
            file: "t.json",
            text: "{\n  \"builders\": [\n    {\"type\": \"null\" \"communicator\": \"none\"}\n  ]\n}\n",
            words: &["validate", "t.json"],
            printed: &["line 3"],
        },
        Case {
            name: "several mistakes at once",
            file: "t.pkr.hcl",
            text: "locals {\n  a = [1,,2]\n}\nlocals {\n  b = \n}\n",
            words: &["validate", "t.pkr.hcl"],
            printed: &["line 2", "line 5"],
        },
        Case {
            name: "no template there",
            file: "other.txt",
            text: "",
            words: &["build", "missing.pkr.hcl"],
            printed: &["missing.pkr.hcl"],
        },
    ]
}

#[test]
fn mistakes_in_templates_are_told_with_file_and_line() {
    for case in cases() {
        let place = place();
        place.write(case.file, case.text);
        let ran = place.run(case.words);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code(), 1, "{}: {all}", case.name);
        for text in case.printed {
            assert!(all.contains(text), "{}: no {text:?} in:\n{all}", case.name);
        }
        place.leftovers().expect_none();
    }
}

#[test]
fn a_bad_build_does_not_stop_the_good_one() {
    let place = place();
    let bad = "source \"null\" \"b\" {\n  communicator = \"none\"\n  bogus = 1\n}\n";
    let build = "build {\n  sources = [\"null.a\", \"null.b\"]\n}\n";
    place.write("t.pkr.hcl", format!("{NULL}{bad}{build}"));
    place.run(["build", "t.pkr.hcl"]).expect_code(1).expect("bogus").expect("Build 'null.a' finished after ");
}

#[test]
fn a_script_that_exits_3_fails_its_build_with_that_number() {
    let place = place();
    let build = "build {\n  sources = [\"null.a\"]\n  provisioner \"shell-local\" {\n    inline = [\"exit 3\"]\n  }\n}\n";
    place.write("t.pkr.hcl", format!("{NULL}{build}"));
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
    ran.expect("==> Some builds didn't complete successfully and had errors:\n--> null.a: ");
    place.leftovers().expect_none();
}
