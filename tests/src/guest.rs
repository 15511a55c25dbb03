//! The small guest that `tests/guest/small-guest.sh` makes; its README tells what it can do.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Where the guests that tests boot are kept: `KILN_TEST_GUESTS`, else `target/guests`.
pub fn folder() -> PathBuf {
    let named = std::env::var_os("KILN_TEST_GUESTS").map(PathBuf::from);
    named.unwrap_or_else(|| crate::tree::top().join("target/guests"))
}

/// A file of the small guest: `small.qcow2`, `small-prompt.qcow2`, `small.iso`, `kernel`, `initrd.img`.
///
/// # Panics
/// When it hasn't been made.
pub fn file(name: &str) -> PathBuf {
    let file = folder().join(name);
    assert!(
        file.exists(),
        "{} is missing; ./test.sh makes it, or tests/guest/small-guest.sh target/guests",
        file.display()
    );
    file
}

/// The password of the small guest's users `root` and `kiln`.
pub const PASSWORD: &str = "kiln";

/// How many guests run at once: one per processor of the smallest machine that runs the tests.
const AT_ONCE: usize = 2;
/// How long a test waits for its turn: all the others may come first.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run guests; kept until it is dropped.
#[derive(Debug)]
pub struct Turn(usize);

/// Waits until `guests` more may run in this test program.
///
/// # Panics
/// When that takes longer than half an hour.
pub fn turn(guests: usize) -> Turn {
    let guests = guests.min(AT_ONCE);
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = ENDED.wait_timeout_while(running, PATIENCE, |running| *running + guests > AT_ONCE);
    let (mut running, waited) = waited.unwrap_or_else(PoisonError::into_inner);
    assert!(!waited.timed_out(), "the other tests' guests do not end");
    *running += guests;
    Turn(guests)
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        ENDED.notify_all();
    }
}

/// The size of the disks that are made here.
const DISK_BYTES: usize = 1 << 20;

/// A raw disk whose guest powers itself off as soon as the firmware has loaded its first sector.
///
/// # Panics
/// When it can't be written.
pub fn disk_that_powers_off(path: &Path) {
    // mov dx, 0x604; mov ax, 0x2000; out dx, ax: the ACPI power switch, where SeaBIOS puts it on QEMU's PC.
    first_sector(path, &[0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd]);
}

/// A raw disk whose guest does nothing at all, for ever.
///
/// # Panics
/// When it can't be written.
pub fn disk_that_waits(path: &Path) {
    // hlt; jmp to it
    first_sector(path, &[0xf4, 0xeb, 0xfd]);
}

fn first_sector(path: &Path, code: &[u8]) {
    let mut disk = vec![0; DISK_BYTES];
    disk[..code.len()].copy_from_slice(code);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(path, disk).expect("the place is ours");
}
