//! Types a boot command at a guest, over QMP, as fast as the guest takes it.
//!
//! A keyboard is a queue that the guest empties when it likes: the one in QEMU's PS/2 controller holds 16 bytes, a PC
//! firmware's 15 keys. Whoever types too fast loses letters without any error. Packer waits 100 ms after each event
//! and hopes. Here, unless the template names a pace, the queues are looked at before each event ([`backlog`]): a
//! guest that stalls for two seconds on a busy machine loses nothing, and a fluent one is typed at in an eighth of
//! the time. Pauses in the command are exact.
//!
//! Measured without KVM on two shared cores, 200 letters at the prompts of syslinux, of GRUB on BIOS and of GRUB on
//! UEFI (text and graphics): a steady 10 or 25 ms loses letters under load, and so would 50 ms in stalls of 1–2 s as
//! were seen; watched typing at 5, 8, 10 and 12 ms lost none.

use std::time::Duration;

use tokio::time::Instant;

use super::boot_command::Stroke;
use super::keyboard::{self, KeyEvent};
use super::qmp::{Qmp, QmpError};
use backlog::Backlog;

mod backlog;

/// The least time between two events when the guest is watched.
const WATCHED_INTERVAL: Duration = Duration::from_millis(12);
/// The time between two events when it can't be watched and the template is silent.
const BLIND_INTERVAL: Duration = Duration::from_millis(40);
/// The longest that a guest is waited for with one event; then it is sent all the same.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(3);

/// How fast to type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So long after each event, whatever the guest does.
    Steady(Duration),
    /// As fast as the guest takes it.
    Watched {
        /// Whether it boots by a PC's BIOS, which has a queue of its own.
        bios: bool,
    },
    /// The guest's keyboard can't be watched (USB).
    Blind,
}

/// Types the strokes, and lets go of what is still held at the end.
///
/// # Errors
/// When QEMU is gone or refuses.
pub async fn type_strokes(qmp: &Qmp, strokes: &[Stroke], pace: Pace) -> Result<(), QmpError> {
    let mut backlog = match pace {
        Pace::Watched { bios } => Some(Backlog { bios }),
        Pace::Steady(_) | Pace::Blind => None,
    };
    let mut held: Vec<&'static str> = Vec::new();
    let mut next = Instant::now();
    for stroke in strokes {
        if let Stroke::Wait(pause) = stroke {
            next = Instant::now().max(next) + *pause;
        }
        for event in keyboard::events(stroke) {
            tokio::time::sleep_until(next).await;
            if let Some(watched) = backlog {
                backlog = settle(qmp, watched).await?;
            }
            qmp.send_keys(&[event]).await?;
            next = Instant::now()
                + match (pace, backlog) {
                    (Pace::Steady(interval), _) => interval,
                    (_, Some(_)) => WATCHED_INTERVAL,
                    (_, None) => BLIND_INTERVAL,
                };
            held.retain(|qcode| *qcode != event.qcode);
            held.extend(event.down.then_some(event.qcode));
        }
    }
    tokio::time::sleep_until(next).await;
    let release = |qcode: &&'static str| KeyEvent { qcode, down: false };
    let left: Vec<KeyEvent> = held.iter().rev().map(release).collect();
    if left.is_empty() { Ok(()) } else { qmp.send_keys(&left).await }
}

/// Waits until the guest has taken what was typed. Gives the watching up, as `None`, where there is nothing to see.
async fn settle(qmp: &Qmp, backlog: Backlog) -> Result<Option<Backlog>, QmpError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match backlog.is_taken(qmp).await? {
            None => return Ok(None),
            Some(true) => return Ok(Some(backlog)),
            Some(false) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            // What looks like the firmware's queue may be anything in a guest that has left it behind.
            Some(false) => return Ok(Some(Backlog { bios: false })),
        }
    }
}

#[cfg(test)]
mod tests;
