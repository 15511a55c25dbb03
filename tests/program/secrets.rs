//! Sensitive values are in no output, log, argument list, journal or manifest.

use std::path::Path;
use std::time::Duration;

use kiln_tests::wait;

use super::place;

const SECRET: &str = "correct-horse-battery";
const ENCODED: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5";

#[test]
fn a_sensitive_variable_is_shown_nowhere() {
    let mut place = place();
    place.set("PKR_VAR_password", SECRET);
    place.set("PACKER_LOG_PATH", "log.txt");
    place.set("KILN_LOG", "debug");
    place.write(
        "t.pkr.hcl",
        r#"
variable "password" {
  type      = string
  sensitive = true
}
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["null.a"]
  provisioner "shell-local" {
    environment_vars = ["PASSWORD=${var.password}"]
    execute_command  = ["/bin/sh", "-c", "{{.Vars}} {{.Script}}"]
    inline           = ["echo plain $PASSWORD", "printf %s \"$PASSWORD\" | base64", "echo begun", "while ! test -e go; do sleep 0.05; done"]
  }
  post-processor "manifest" {
    custom_data = { password = var.password }
  }
}
"#,
    );
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> null.a: begun");
    let arguments = arguments_of_all_processes();
    let state = text_below(&place.leftovers().place().join("home"));
    place.write("go", "");
    let ran = running.finish();
    ran.expect_code(0).expect("plain <sensitive>");
    let log = place.read("log.txt");
    assert!(log.contains("kiln_coordinator"), "a log was asked for:\n{log}");
    let shown = [
        ("log", log),
        ("standard output", ran.stdout.clone()),
        ("standard error", ran.stderr.clone()),
        ("arguments of processes", arguments),
        ("journal", journal_only(&state)),
        ("manifest", place.read("packer-manifest.json")),
    ];
    for (what, text) in shown {
        assert!(!text.contains(SECRET) && !text.contains(ENCODED), "the secret is in {what}:\n{text}");
    }
}

fn arguments_of_all_processes() -> String {
    wait::until("a look at /proc", Duration::from_secs(1), || {
        let all = std::fs::read_dir("/proc").ok()?.flatten();
        Some(
            all.map(|e| {
                String::from_utf8_lossy(&std::fs::read(e.path().join("cmdline")).unwrap_or_default())
                    .into_owned()
                    + "\n"
            })
            .collect(),
        )
    })
}

fn text_below(directory: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(text_below(&path));
        } else {
            all.push((
                path.display().to_string(),
                String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned(),
            ));
        }
    }
    all
}

/// Everything in the home but the script itself, which its interpreter must read.
fn journal_only(files: &[(String, String)]) -> String {
    files
        .iter()
        .filter(|(name, _)| !name.contains("packer-shell"))
        .map(|(name, text)| format!("{name}\n{text}\n"))
        .collect()
}
