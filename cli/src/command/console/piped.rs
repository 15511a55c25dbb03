//! Lines from a pipe or a file. As with Packer every line is evaluated, what is wrong is told as it comes, and of the
//! answers the last one is printed; `exit` is a line like any other.

use std::io::{BufRead, Read};

use kiln_config::Answer;

use super::Desk;
use crate::exit_code::Ended;

/// No line is longer, in bytes.
const LONGEST: u64 = 16 << 20;

/// Answers every line of `input`.
pub(super) fn answer_all(desk: &Desk<'_>, mut input: impl BufRead) -> Ended {
    let mut last = String::new();
    let mut ended = Ended::Well;
    loop {
        let mut bytes = Vec::new();
        match input.by_ref().take(LONGEST).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(length) if length as u64 == LONGEST && !bytes.ends_with(b"\n") => {
                desk.screen.error(&format!("a line of the console may have up to {} MiB", LONGEST >> 20));
                return Ended::Failed;
            }
            Ok(_) => {}
            Err(error) => {
                desk.screen.error(&format!("cannot read standard input: {error}"));
                return Ended::Failed;
            }
        }
        let line = String::from_utf8_lossy(&bytes);
        last = match desk.console.answer(&line) {
            Answer::Text(text) => text,
            Answer::Leave => String::new(),
            Answer::Wrong(found) => {
                desk.complain(&line, &found);
                ended = Ended::Failed;
                String::new()
            }
        };
    }
    desk.screen.note(&last);
    ended
}
