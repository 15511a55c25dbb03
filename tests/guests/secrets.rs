//! Sensitive values on their way into a genuine guest are seen nowhere else.

use std::path::Path;

use kiln_tests::guest;
use kiln_tests::source::{Source, shell};

use super::place;

const SECRET: &str = "tr0ub4dor&three";
const ENCODED: &str = "dHIwdWI0ZG9yJnRocmVl";

/// The guest gets the secret as its password first, so that it can be logged in with.
const TEMPLATE_HEAD: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}
variable "token" {
  type      = string
  sensitive = true
}
"#;

const REST: &str = r#"
  provisioner "shell" {
    environment_vars = ["TOKEN=${var.token}"]
    inline           = ["echo the token is $TOKEN", "echo $TOKEN > /root/token", "wget -q -O /root/fetched http://$PACKER_HTTP_ADDR/answers"]
  }
  provisioner "file" {
    content     = "token=${var.token}"
    destination = "/root/content"
  }
  provisioner "shell" {
    inline = ["grep -c . /root/content /root/fetched", "cat /root/fetched; printf %s \"$(cat /root/token)\" | base64"]
  }
  provisioner "shell-local" {
    environment_vars = ["TOKEN=${var.token}"]
    inline           = ["echo local $TOKEN", "echo begun", "while ! test -e go; do sleep 0.05; done"]
  }
  error-cleanup-provisioner "shell-local" {
    inline = ["echo ${var.token}"]
  }
  post-processor "manifest" {
    custom_data = { token = var.token }
  }
"#;

#[test]
fn a_secret_that_reaches_the_guest_is_seen_nowhere_else() {
    let mut place = place();
    place.set("PKR_VAR_password", guest::PASSWORD);
    place.set("PKR_VAR_token", SECRET);
    place.set("PACKER_LOG", "1");
    place.set("PACKER_LOG_PATH", place.work().join("kiln.log").display().to_string());
    let source = Source::small("a")
        .text("ssh_password", "${var.password}")
        .set("http_content", r#"{ "/answers" = "token ${var.token}" }"#)
        .text("vnc_password", "${substr(var.token, 0, 8)}")
        .set("vnc_use_password", "true");
    place.write("t.pkr.hcl", format!("{TEMPLATE_HEAD}{}", source.template(REST)));
    let _turn = guest::turn(1);
    let mut running = place.start(["build", "t.pkr.hcl"]);
    running.wait_for("==> qemu.a: begun");
    let arguments = arguments_of_all_processes();
    let state = text_below(&place.home(), &["script"]);
    place.write("go", "");
    let ran = running.finish();
    ran.expect_code(0).expect("the token is <sensitive>").expect("local <sensitive>");
    let left = text_below(&place.work(), &["output-a"]) + &text_below(&place.home(), &[]);
    let shown = [
        ("what it printed", ran.all()),
        ("arguments of processes", arguments),
        ("journal and scratch", state),
        ("files that are left", left + &text_below(&place.temporary(), &[])),
    ];
    for (what, text) in shown {
        for secret in [SECRET, ENCODED, &SECRET[..8]] {
            let at = text
                .find(secret)
                .map(|at| text[at.saturating_sub(300)..].chars().take(400).collect::<String>());
            assert!(at.is_none(), "{secret} is in {what}: {}", at.unwrap_or_default());
        }
    }
    place.leftovers().expect_none();
}

/// A failed build tells much; the secret isn't in it.
#[test]
fn a_failure_tells_no_secret() {
    let mut place = place();
    place.set("PKR_VAR_token", SECRET);
    let source = Source::small("a").set("http_content", r#"{ "/x" = "y" }"#);
    let rest = r#"
  provisioner "shell" {
    inline = ["echo '${var.token}' > /dev/ttyS0", "echo '${var.token}' >&2", "'nonsense-${var.token}' || exit 3"]
  }
"#;
    let head = TEMPLATE_HEAD.replace("variable \"password\"", "variable \"unused\"").replacen(
        "sensitive = true",
        "default = \"\"",
        1,
    );
    place.write("t.pkr.hcl", format!("{head}{}", source.template(&(shell(&["true"]) + rest))));
    let _turn = guest::turn(1);
    place.run(["build", "t.pkr.hcl"]).expect_code(1).expect("nonsense-<sensitive>").expect_not(SECRET);
    place.leftovers().expect_none();
}

fn arguments_of_all_processes() -> String {
    let all = std::fs::read_dir("/proc").expect("this is Linux").flatten();
    let read = all.map(|e| std::fs::read(e.path().join("cmdline")).unwrap_or_default());
    read.map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

/// The names and texts of all files below, but those whose path has one of `without` in it.
fn text_below(directory: &Path, without: &[&str]) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let shown = path.display().to_string();
        if without.iter().any(|w| shown.contains(w)) {
            continue;
        }
        if path.is_dir() {
            all += &text_below(&path, without);
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            all += &format!("{shown}\n{}\n", String::from_utf8_lossy(&bytes));
        }
    }
    all
}
