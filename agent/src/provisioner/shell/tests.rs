//! Scripts in a guest for which a real sshd of this machine stands.

use std::time::{Duration, Instant};

use kiln_plan::Failure;
use serde_json::{Value as Json, json};

use super::*;
use crate::communicator::testing::{bounded, mode, until};
use crate::provisioner::testing::{Bench, processes_with};
use crate::provisioner::tests::expect_fields;

/// Ends the guest's side of the connection that a script runs on.
const HANG_UP: &str = "p=$$; while [ \"$(cat /proc/$p/comm)\" != sshd ]; do \
                       p=$(cut -d' ' -f4 /proc/$p/stat); done; kill -9 $p; sleep 30";

#[test]
fn the_schema_is_what_is_decoded() {
    expect_fields::<Options>(&schema());
}

async fn run(bench: &Bench, options: Json) -> Result<(), Failure> {
    bounded(bench.run("shell", options)).await
}

fn message(result: Result<(), Failure>) -> String {
    result.map_or_else(|failure| failure.message, |()| "success".to_owned())
}

#[test]
fn the_check_finds_what_is_wrong() {
    let bench = Bench::alone();
    bench.write("there.sh", "true", 0o644);
    let cases = [
        (json!({"inline": ["ls"]}), ""),
        (json!({"script": "there.sh", "inline": []}), ""),
        (json!({"script": "<unknown>/x.sh"}), ""),
        (json!({}), "One of inline, script and scripts must be given."),
        (json!({"inline": ["ls"], "script": "there.sh"}), "Only one of inline, script and scripts"),
        (json!({"script": "there.sh", "scripts": ["there.sh"]}), "Only one of script and scripts"),
        (json!({"script": "missing.sh"}), "Bad script 'missing.sh'"),
        (json!({"scripts": ["there.sh", "."]}), "Bad script '.'"),
        (json!({"inline": ["ls"], "environment_vars": ["x"]}), "not in format 'key=value'"),
        (json!({"inline": ["ls"], "pause_after": "soon"}), "pause_after"),
    ];
    for (options, expected) in cases {
        let found = bench.check("shell", options.clone()).join("\n");
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{options}: {found}");
    }
}

#[tokio::test]
async fn options_decide_how_a_script_runs() {
    let mut bench = Bench::new().await;
    bench.generated.set("PackerHTTPAddr", "10.0.2.2:8080");
    bench.generated.set("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER");
    bench.write("dos.sh", "#!/bin/sh\r\necho dos\r\nexit 0\r", 0o644);
    bench.write("bash.sh", "#!/bin/bash\necho ${BASH_VERSION:+bash}", 0o600);
    let own = bench.guest_text("own.sh");
    let nasty = "it's \"q\" $HOME `x` \\ \u{e9}";
    let cases = [
        (json!({"inline": ["echo a", "echo b"]}), "a|b"),
        (json!({"inline": ["#!/bin/bash", "echo ${BASH_VERSION:+bash}"]}), "bash"),
        (json!({"inline": ["false; echo c"], "inline_shebang": "/bin/sh"}), "c"),
        (json!({"inline": ["echo d >&2"]}), "d"),
        (json!({"script": "dos.sh"}), "dos"),
        (json!({"scripts": ["bash.sh", "dos.sh"]}), "bash|dos"),
        (json!({"inline": ["echo $0"], "remote_path": own.clone()}), own.as_str()),
        (
            json!({"inline": ["echo $0"], "remote_folder": "/var/tmp/", "remote_file": "x.sh"}),
            "/var/tmp/x.sh",
        ),
        (json!({"inline": ["echo \"$A\""], "environment_vars": [format!("A={nasty}")]}), nasty),
        (json!({"inline": ["echo \"$A\""], "env": {"A": nasty}, "use_env_var_file": true}), nasty),
        (json!({"inline": ["echo $A"], "environment_vars": ["A=1"], "env": {"A": "2"}}), "2"),
        (json!({"inline": ["echo $A-$B"], "env": {"A": 1}, "env_var_format": "%s=%s B=b "}), "1-b"),
        (
            json!({"inline": ["echo $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE $PACKER_HTTP_ADDR-$PACKER_HTTP_IP"]}),
            "test qemu 10.0.2.2:8080-",
        ),
        (json!({"inline": ["echo $PACKER_BUILD_NAME"], "env": {"PACKER_BUILD_NAME": "mine"}}), "mine"),
        (
            json!({"inline": ["echo $A $B"], "env": {"A": "x"},
                   "execute_command": "export B=y; env {{ .Vars }} sh {{.Path}}"}),
            "x y",
        ),
        (
            json!({"inline": ["echo $A"], "env": {"A": "x"}, "use_env_var_file": true,
                   "execute_command": "test -z '{{.Vars}}' && . {{.EnvVarFile}} && sh {{ .Path }}"}),
            "x",
        ),
    ];
    for (options, expected) in cases {
        let before = bench.words().len();
        run(&bench, options.clone()).await.unwrap_or_else(|failure| panic!("{options}: {failure:?}"));
        let words = &bench.words()[before..];
        let said: Vec<&str> =
            words.iter().filter(|w| !w.starts_with("Provisioning with")).map(String::as_str).collect();
        assert_eq!(said.join("|"), expected, "{options}");
    }
}

#[tokio::test]
async fn exit_codes_are_judged_and_never_tried_again() {
    let bench = Bench::new().await;
    let counter = bench.guest_text("count");
    let status = |code, allowed: &str| {
        format!("Script exited with non-zero exit status: {code}. Allowed exit codes are: [{allowed}]")
    };
    bench.write("dos.sh", "test 0 = 0\r\n", 0o644);
    let cases = [
        (json!({"inline": ["exit 3"]}), status(3, "0")),
        (json!({"inline": ["exit 3"], "valid_exit_codes": [3, 4]}), "success".to_owned()),
        (json!({"inline": ["exit 0"], "valid_exit_codes": [3, 4]}), status(0, "3 4")),
        (json!({"inline": ["kill -9 $$"]}), status(137, "0")),
        (json!({"inline": ["exit 1"], "expect_disconnect": true}), status(1, "0")),
        (json!({"script": "dos.sh", "binary": true, "execute_command": "sh {{.Path}}"}), status(1, "0")),
        (json!({"script": "dos.sh", "execute_command": "sh {{.Path}}"}), "success".to_owned()),
    ];
    for (options, expected) in cases {
        assert_eq!(message(run(&bench, options.clone()).await), expected, "{options}");
    }
    run(&bench, json!({"inline": [format!("echo x >> {counter}"), "exit 9"]})).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "x\n");
}

#[tokio::test]
async fn what_was_carried_over_goes_unless_it_is_to_stay() {
    let bench = Bench::new().await;
    let folder = bench.guest_text("");
    let listing = |options: Json| {
        let mut all = json!({"remote_folder": folder, "env": {"A": "1"}, "use_env_var_file": true,
            "inline": ["cd $(dirname $0)", "stat -c '%a %n' *"]});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        all
    };
    let left = || {
        let all = std::fs::read_dir(bench.guest("")).unwrap().flatten();
        let mut modes: Vec<String> = all.map(|e| format!("{:o}", mode(e.path()))).collect();
        modes.sort();
        modes
    };
    run(&bench, listing(json!({}))).await.unwrap();
    assert!(bench.said("755 script_") && bench.said("600 varfile_"), "{:?}", bench.words());
    assert_eq!(left(), Vec::<String>::new());
    run(&bench, listing(json!({"skip_clean": true}))).await.unwrap();
    assert_eq!(left(), ["600", "755"]);
}

#[tokio::test]
async fn a_pause_comes_once_after_all_scripts() {
    let bench = Bench::new().await;
    bench.write("a.sh", "#!/bin/sh\necho ran", 0o644);
    run(&bench, json!({"scripts": ["a.sh", "a.sh"], "pause_after": "20ms"})).await.unwrap();
    let script = "Provisioning with shell script: a.sh";
    assert_eq!(bench.words(), [script, "ran", script, "ran", "Pausing 20ms after this provisioner..."]);
}

#[tokio::test]
async fn a_script_that_ends_its_connection_fails_unless_that_is_expected() {
    let bench = Bench::new().await;
    let path = bench.guest_text("reboot.sh");
    let options = |expected: bool, codes: Json| json!({"inline": [HANG_UP], "expect_disconnect": expected, "valid_exit_codes": codes, "remote_path": path});
    for codes in [json!([]), json!([0, 2_300_218])] {
        let failure = run(&bench, options(false, codes)).await.unwrap_err();
        assert_eq!(failure.message, "the connection to the guest went away while the script was running");
        assert!(failure.hint.unwrap().contains("expect_disconnect = true"));
    }
    run(&bench, options(true, json!([7]))).await.unwrap();
    assert!(!bench.guest("reboot.sh").exists(), "removed on a new connection");
}

#[tokio::test]
async fn a_script_after_a_reboot_waits_for_the_guest() {
    let mut bench = Bench::new().await;
    let mut sshd = bench.sshd.take().unwrap();
    sshd.stop();
    let reboot = json!({"inline": [HANG_UP], "expect_disconnect": true, "skip_clean": true});
    run(&bench, reboot).await.unwrap();
    let back = async {
        until("the script waits", async || bench.words().len() >= 2).await;
        sshd.launch().await;
    };
    let (result, ()) = tokio::join!(run(&bench, json!({"inline": ["echo back"]})), back);
    result.unwrap();
    assert!(bench.said("back"));
}

#[tokio::test]
async fn a_guest_that_refuses_is_asked_again_until_the_time_is_up() {
    let bench = Bench::new().await;
    let folder = bench.guest("later");
    let options = |timeout: &str| json!({"inline": ["echo ran"], "remote_folder": folder, "start_retry_timeout": timeout});
    let began = Instant::now();
    let failure = run(&bench, options("3s")).await.unwrap_err();
    assert!(failure.message.contains("No such file or directory"), "{failure:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let mended = async {
        until("it is said", async || {
            bench.words().iter().filter(|w| w.contains("trying again")).count() == 2
        })
        .await;
        std::fs::create_dir(&folder).unwrap();
    };
    let (result, ()) = tokio::join!(run(&bench, options("0s")), mended);
    result.unwrap();
    assert!(bench.said("trying again for up to 4m59s"), "{:?}", bench.words());
    assert_eq!(bench.words().iter().filter(|w| *w == "ran").count(), 1);
}

#[tokio::test]
async fn a_cancelled_script_is_hung_up_at_once() {
    let bench = Bench::new().await;
    let path = bench.guest_text("endless.sh");
    let cancel = async {
        until("the script runs", async || bench.said("started")).await;
        bench.task.cx.cancel.cancel();
        Instant::now()
    };
    // It writes, for a server that passes signals on to some users alone.
    let endless = "echo started; while sleep 0.1; do echo on; done";
    let (result, cancelled) =
        tokio::join!(run(&bench, json!({"inline": [endless], "remote_path": path})), cancel);
    assert!(result.unwrap_err().cancelled);
    assert!(cancelled.elapsed() < Duration::from_secs(30));
    until("the script is gone", async || processes_with(&path).is_empty()).await;
    assert!(bench.run("shell", json!({"inline": ["true"]})).await.unwrap_err().cancelled);
}

#[tokio::test]
async fn nothing_is_tried_again_without_a_communicator() {
    let bench = Bench::alone();
    let text = message(run(&bench, json!({"inline": ["true"]})).await);
    assert!(text.starts_with("the communicator \"none\" cannot write"), "{text}");
}

#[test]
fn only_line_endings_lose_their_return() {
    let cases = [("a\r\nb\r\n", "a\nb\n"), ("a\rb\r", "a\rb"), ("\r\r\n", "\r\n"), ("", "")];
    for (text, expected) in cases {
        assert_eq!(unix_line_endings(text.into()), expected.as_bytes(), "{text:?}");
    }
}
