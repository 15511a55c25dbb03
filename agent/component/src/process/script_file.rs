//! Files that are written here and then run.
//!
//! The kernel refuses to run a file that any process has open for writing. A child that another thread forks while
//! we write has it open, if only until it turns into its own program. So writing and forking take turns. The lock is
//! the process's because forking is: a child inherits every open file of the whole process.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

static TURN: RwLock<()> = RwLock::new(());

/// Held while a child is forked and becomes its program.
pub(super) fn forking() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file that only this user can read, and that can be run at once.
///
/// # Errors
/// When it can't be written, or is there already.
pub fn write_script(path: &Path, text: &[u8]) -> io::Result<()> {
    let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?.write_all(text)
}
