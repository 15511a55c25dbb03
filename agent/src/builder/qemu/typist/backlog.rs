//! Whether a guest has taken the keys that were typed, seen from outside without disturbing it.
//!
//! * The PS/2 controller's status port, whose bit 0 is set while a byte waits to be read. Reading it has no effect.
//! * The queue of a PC's BIOS in the guest's memory: two pointers at 0x41a and 0x41c, into a ring of 16 keys at 0x1e.

use serde_json::json;

use crate::builder::qemu::qmp::{Qmp, QmpError};

/// Keys that may wait in the BIOS's queue: it holds 15.
const WAITING_KEYS: u16 = 4;
const RING: std::ops::Range<u16> = 0x1e..0x3e;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backlog {
    /// Whether the BIOS's queue counts.
    pub(super) bios: bool,
}

impl Backlog {
    /// Whether little enough waits; `None` when the guest has no such controller.
    pub(super) async fn is_taken(self, qmp: &Qmp) -> Result<Option<bool>, QmpError> {
        let Some(status) = last_number(&monitor(qmp, "i /b 0x64").await?) else { return Ok(None) };
        if status & 1 != 0 {
            return Ok(Some(false));
        }
        if !self.bios {
            return Ok(Some(true));
        }
        let pointers = monitor(qmp, "xp /2hx 0x41a").await?;
        Ok(Some(waiting(&pointers).is_none_or(|keys| keys <= WAITING_KEYS)))
    }
}

async fn monitor(qmp: &Qmp, line: &str) -> Result<String, QmpError> {
    qmp.ask("human-monitor-command", json!({ "command-line": line })).await
}

/// The number after the last blank: `portb[0x0064] = 0x1c`.
fn last_number(text: &str) -> Option<u16> {
    u16::from_str_radix(text.split_whitespace().next_back()?.strip_prefix("0x")?, 16).ok()
}

/// How many keys wait, by the two pointers; `None` when these aren't pointers into the ring.
fn waiting(text: &str) -> Option<u16> {
    let mut numbers = text.split_whitespace().rev().map(last_number);
    let (tail, head) = (numbers.next()??, numbers.next()??);
    (RING.contains(&head) && RING.contains(&tail)).then(|| (tail + 32 - head) % 32 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_monitor_prints_is_read() {
        assert_eq!(last_number("portb[0x0064] = 0x1d\r\n"), Some(0x1d));
        assert_eq!(last_number("unknown command: 'i'\r\n"), None);
        let cases = [
            ("000000000000041a: 0x001e 0x001e\r\n", Some(0)),
            ("000000000000041a: 0x001e 0x0024\r\n", Some(3)),
            ("000000000000041a: 0x003c 0x0020\r\n", Some(2)),
            ("000000000000041a: 0x0000 0x1234\r\n", None),
            ("Cannot access memory\r\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(waiting(text), expected, "{text}");
        }
    }
}
