//! The small guest that `tests/guest/small-guest.sh` makes; its README tells what it can do.

use std::path::PathBuf;

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
