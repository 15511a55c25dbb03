//! Types a boot command at a guest, over QMP, at a pace that firmware keeps up with.
//!
//! A keyboard is a queue that the guest empties when it likes: QEMU's holds 16 bytes, a PC's firmware 15 keys. Too
//! fast a typist loses letters without any error, hence the pace. Pauses in the command are exact.

use std::time::Duration;

use tokio::time::Instant;

use super::boot_command::Stroke;
use super::keyboard::{self, KeyEvent};
use super::qmp::{Qmp, QmpError};

/// The time after each event of a key when the template and the environment don't say. Packer's is 100 ms; see the
/// measurements in `docs/decisions`.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(25);

/// Types the strokes, each event `interval` after the last, and lets go of what is still held at the end.
///
/// # Errors
/// When QEMU is gone or refuses.
pub async fn type_strokes(qmp: &Qmp, strokes: &[Stroke], interval: Duration) -> Result<(), QmpError> {
    let mut held: Vec<&'static str> = Vec::new();
    let mut next = Instant::now();
    for stroke in strokes {
        if let Stroke::Wait(pause) = stroke {
            next = Instant::now().max(next) + *pause;
        }
        for event in keyboard::events(stroke) {
            tokio::time::sleep_until(next).await;
            qmp.send_keys(&[event]).await?;
            next = Instant::now() + interval;
            held.retain(|qcode| *qcode != event.qcode);
            held.extend(event.down.then_some(event.qcode));
        }
    }
    tokio::time::sleep_until(next).await;
    let release = |qcode: &&'static str| KeyEvent { qcode, down: false };
    let left: Vec<KeyEvent> = held.iter().rev().map(release).collect();
    if left.is_empty() { Ok(()) } else { qmp.send_keys(&left).await }
}

#[cfg(test)]
mod tests;
