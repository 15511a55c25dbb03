//! Scripts on this machine.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::*;
use crate::communicator::testing::{bounded, until};
use crate::provisioner::testing::{Bench, SECRET, processes_with};
use crate::provisioner::tests::expect_fields;

#[test]
fn the_schema_is_what_is_decoded() {
    expect_fields::<Options>(&schema());
}

async fn run(bench: &Bench, options: Json) -> Result<(), Failure> {
    bounded(bench.run("shell-local", options)).await
}

#[test]
fn the_check_finds_what_is_wrong() {
    let bench = Bench::alone();
    bench.write("there.sh", "true", 0o755);
    let cases = [
        (json!({"command": "ls"}), ""),
        (json!({"scripts": ["there.sh"], "only_on": ["windows"]}), ""),
        (json!({}), "One of inline, script and scripts must be given."),
        (json!({"command": "ls", "inline": ["ls"]}), "Only one of command and inline"),
        (json!({"script": "missing.sh"}), "Bad script 'missing.sh'"),
        (json!({"inline": ["ls"], "only_on": ["plan9"]}), "only_on has \"plan9\""),
    ];
    for (options, expected) in cases {
        let found = bench.check("shell-local", options.clone()).join("\n");
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{options}: {found}");
    }
}

#[tokio::test]
async fn options_decide_how_a_script_runs() {
    let bench = Bench::alone();
    bench.write("a script.sh", "#!/bin/bash\necho ${BASH_VERSION:+bash} $A; pwd", 0o755);
    bench.write("plain", "echo plain", 0o755);
    let here = std::fs::canonicalize(bench.local("")).unwrap().display().to_string();
    let script = format!("bash 1|{here}");
    let nasty = "it's \"q\" $HOME `x` \\ \u{e9}";
    let with_secret = format!("<{SECRET}>");
    let cases = [
        (json!({"inline": ["echo a", "echo b"]}), "a|b"),
        (json!({"command": "echo a"}), "a"),
        (json!({"inline": ["#!/bin/bash", "echo ${BASH_VERSION:+bash}."]}), "."),
        (json!({"inline": ["echo ${BASH_VERSION:+bash}"], "inline_shebang": "/bin/bash"}), "bash"),
        (json!({"script": "a script.sh", "env": {"A": "1"}}), script.as_str()),
        (json!({"scripts": ["plain", "plain"]}), "plain|plain"),
        (json!({"inline": ["echo ${0##*.}"], "tempfile_extension": ".foo"}), "foo"),
        (json!({"inline": ["echo \"$A\""], "env": {"A": nasty}}), nasty),
        (json!({"inline": ["echo $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE"]}), "test qemu"),
        (
            json!({"inline": ["echo \"$A\""], "env": {"A": nasty},
                "execute_command": ["/bin/bash", "-c", "{{.Vars}} {{.Script}}"]}),
            nasty,
        ),
        (
            json!({"inline": ["echo $A"], "env": {"A": "1"}, "execute_command": ["{{.Vars}} B=2 sh {{ .Command }}"]}),
            "1",
        ),
        (json!({"inline": ["echo $A"], "execute_command": ["env", "A=3", "{{.Script}}"]}), "3"),
        (
            json!({"inline": ["echo $A"], "env": {"A": "1"}, "env_var_format": "%s=\"2%s\" ",
                "execute_command": ["sh", "-c", "{{.Vars}} {{.Script}}"]}),
            "21",
        ),
        (
            json!({"inline": ["test \"$A\" = '", &with_secret, "' && echo same"], "env": {"A": format!("\n{with_secret}\n")},
                "execute_command": ["sh", "-c", "{{.Vars}} {{.Script}}"]}),
            "same",
        ),
        (
            json!({"inline": ["echo no"], "only_on": ["windows", "darwin"]}),
            "Skipping shell-local due to runtime OS: it runs only on [\"windows\", \"darwin\"]",
        ),
        (json!({"inline": ["echo yes"], "only_on": ["linux"]}), "yes"),
    ];
    for (options, expected) in cases {
        let before = bench.words().len();
        run(&bench, options.clone()).await.unwrap_or_else(|failure| panic!("{options}: {failure:?}"));
        let words = &bench.words()[before..];
        let said: Vec<&str> =
            words.iter().filter(|w| !w.starts_with("Running local")).map(String::as_str).collect();
        assert_eq!(said.join("|"), expected, "{options}");
    }
    assert_eq!(std::fs::read_dir(&bench.task.cx.scratch).unwrap().count(), 0, "inline scripts are gone");
}

#[tokio::test]
async fn exit_codes_are_judged() {
    let bench = Bench::alone();
    bench.write("no-right", "true", 0o644);
    let status = |code, allowed: &str| {
        format!("Script exited with non-zero exit status: {code}. Allowed exit codes are: [{allowed}]")
    };
    let cases = [
        (json!({"inline": ["exit 3"]}), status(3, "0")),
        (json!({"inline": ["exit 3"], "valid_exit_codes": [3]}), "success".to_owned()),
        (json!({"inline": ["true"], "valid_exit_codes": [3]}), status(0, "3")),
        (json!({"inline": ["kill -9 $$"]}), status(-1, "0")),
        (json!({"script": "no-right"}), status(126, "0")),
        (
            json!({"inline": ["true"], "execute_command": ["/no/such/program", "{{.Script}}"]}),
            "cannot find the program \"/no/such/program\"".to_owned(),
        ),
    ];
    for (options, expected) in cases {
        let text = run(&bench, options.clone()).await.map_or_else(|f| f.message, |()| "success".to_owned());
        assert!(text.starts_with(&expected), "{options}: {text}");
    }
}

#[tokio::test]
async fn secrets_reach_a_script_without_standing_on_a_command_line() {
    let formats = ["%s='%s' ", "%s=\"%s\" ", "%s=%s "];
    for format in formats {
        let bench = Bench::alone();
        let options = json!({
            "inline": ["test \"$TOKEN\" = \"$(cat expected)\" && echo same", "tr '\\0' ' ' < /proc/$PPID/cmdline; echo",
                       "cat /proc/[0-9]*/cmdline 2>/dev/null | grep -c -a -F -f expected || true"],
            "env": {"TOKEN": SECRET},
            "env_var_format": format,
            "execute_command": ["/bin/sh", "-c", "{{.Vars}} {{.Script}}; true"],
        });
        bench.write("expected", SECRET, 0o600);
        run(&bench, options).await.unwrap();
        let words = bench.words();
        assert!(bench.said("same") && words.last().unwrap() == "0", "{words:?}");
        assert!(words.iter().any(|w| w.contains("TOKEN=") && w.contains("$")), "{words:?}");
    }
}

#[tokio::test]
async fn a_cancelled_script_goes_with_all_that_it_started() {
    let bench = Bench::alone();
    let script = "(trap '' TERM; setsid sleep 4242.25) & echo started; sleep 4242.25";
    let cancel = async {
        until("the script runs", async || processes_with("4242.25").len() >= 2 && bench.said("started"))
            .await;
        bench.task.cx.cancel.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(run(&bench, json!({"inline": [script]})), cancel);
    assert!(result.unwrap_err().cancelled);
    assert!(cancelled.elapsed() < Duration::from_secs(60));
    until("its processes are gone", async || processes_with("4242.25").is_empty()).await;
    assert_eq!(std::fs::read_dir(&bench.task.cx.scratch).unwrap().count(), 0);
}
