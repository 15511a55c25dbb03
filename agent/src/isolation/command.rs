//! Short system programs, run to their end: they ask the kernel for one thing, and don't wait for anything.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Runs a program with these arguments, separated by spaces.
pub(super) fn run(program: &str, arguments: &str) -> io::Result<()> {
    feed(program, arguments, "")
}

/// The same, with a text on its standard input.
pub(super) fn feed(program: &str, arguments: &str, input: &str) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {arguments}: {}", said.trim())))
}
