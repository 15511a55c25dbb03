//! `kiln console`: lines from a pipe, and a conversation on a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kiln_tests::program::Place;

use super::place;

/// A terminal that shows nothing for so long hangs.
const LIMIT: Duration = Duration::from_secs(60);

const HCL2: &str = r#"
variable "name" { default = "x" }
variable "unset" { type = string }
variable "secret" {
  default   = "geheim"
  sensitive = true
}
data "null" "d" { input = "from data" }
locals { seen = "${data.null.d.output}!" }
"#;
const JSON: &str = r#"{"variables": {"a": "x"}, "builders": [{"type": "null"}]}"#;

fn furnished() -> Place {
    let place = place();
    place.write("t.pkr.hcl", HCL2);
    place.write("t.json", JSON);
    place
}

#[test]
fn of_piped_lines_the_last_answer_is_printed() {
    let place = furnished();
    let table: [(&[&str], &str, &str); 11] = [
        (&["t.pkr.hcl"], "", "\n"),
        (&["t.pkr.hcl"], "1\nupper(var.name)", "X\n"),
        (&["t.pkr.hcl"], "exit\n  [var.name]\r\n", "[\n  \"x\",\n]\n"),
        (&["-var", "name=y", "t.pkr.hcl"], "\"${var.name} ${var.secret}\"\n", "y <sensitive>\n"),
        (&["t.pkr.hcl"], "var.unset", "<unknown>\n"),
        (&["."], "local.seen", "from data!\n"),
        (&["t.json"], "{{user `a`}}{{user `b`}}", "x\n"),
        (&["-var", "b=c", "t.json"], "variables", "\na: x,\nb: c,\n\n"),
        (&[], "{{upper `a`}}", "A\n"),
        (&["t.pkr.hcl", "t.json"], "var.name", "var.name\n"),
        (&["-config-type=hcl2"], "1 + 1", "2\n"),
    ];
    for (words, input, output) in table {
        let ran = place.run_on(input, ["console"].iter().chain(words));
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, output), "{words:?} {input:?}\n{}", ran.stderr);
    }
    let ran = place.run_on("variables", ["console", "t.pkr.hcl"]);
    ran.expect("var.secret: \"<sensitive>\"\nvar.unset: \"<unknown>\"\n").expect("> local-variables:\n");
    let ran = place.run_on("1, 2", ["console", "-machine-readable", "t.json"]);
    ran.expect(",,ui,message,1%!(PACKER_COMMA) 2\n");
}

#[test]
fn what_is_wrong_is_told_as_it_comes_and_ends_in_1() {
    let place = furnished();
    let ran = place.run_on("var.nmae\nvar.name", ["console", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Error: Unsupported attribute\n").expect("on <console-input> line 1");
    ran.expect("   1: var.nmae\n");
    assert!(ran.stdout.ends_with("\nx\n"), "{}", ran.stdout);
    let ran = place.run_on("1 +", ["console", "t.pkr.hcl"]);
    ran.expect_code(1);
    assert!(ran.stdout.ends_with("\n\n"), "{}", ran.stdout);
    place.run_on("{{bogus}}", ["console", "t.json"]).expect_code(1).expect("Error: Interpolation error\n");
    place.run_on("1", ["console", "none.pkr.hcl"]).expect_code(1);
}

/// A conversation on a terminal.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(place: &Place) -> Self {
        let line = format!("{} console t.pkr.hcl", env!("CARGO_BIN_EXE_kiln"));
        let mut script = Command::new("script")
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .current_dir(place.work())
            .env("HOME", place.home())
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is installed (./install-tools.sh)");
        let keys = script.stdin.take().expect("it is piped");
        let mut out = script.stdout.take().expect("it is piped");
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = out.read(&mut bytes)
                && length > 0
                && sender.send(bytes[..length].to_vec()).is_ok()
            {}
        });
        let mut terminal = Self { script, keys, screen, seen: String::new() };
        terminal.wait_for("> ");
        terminal
    }

    /// Waits until what it has shown since the last call has `text`.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.screen.recv_timeout(LIMIT) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in {:?}", self.seen),
            }
        }
        let end = self.seen.find(text).map_or(0, |at| at + text.len());
        self.seen.drain(..end);
    }

    #[track_caller]
    fn types(&mut self, keys: &str, then: &str) {
        self.keys.write_all(keys.as_bytes()).expect("script reads");
        self.wait_for(then);
    }

    #[track_caller]
    fn ends_after(mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("script reads");
        // The screen ends with the program.
        while self.screen.recv_timeout(LIMIT).is_ok() {}
        assert!(self.script.wait().expect("it is our child").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only a test that failed half way leaves one running.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn on_a_terminal_lines_are_completed_remembered_and_answered() {
    let place = furnished();
    let mut terminal = Terminal::open(&place);
    terminal.types("upper(var.na\t", "upper(var.name");
    terminal.types(")\r", "\nX\r\n");
    terminal.wait_for("> ");
    terminal.types("\u{1b}[A", "upper(var.name)");
    terminal.types(" == \"X\"\r", "\ntrue\r\n");
    terminal.wait_for("> ");
    terminal.types("var.nope\r", "on <console-input> line 1");
    terminal.wait_for("> ");
    terminal.types("junk", "junk");
    terminal.types("\u{3}", "> ");
    terminal.types("variables\r", "var.name: \"x\"\r\n");
    terminal.wait_for("> ");
    terminal.ends_after("\u{3}");
    for keys in ["exit\r", "\u{4}"] {
        Terminal::open(&place).ends_after(keys);
    }
}
