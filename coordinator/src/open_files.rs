//! How many files this process may have open. Each agent's connection is one, and the usual limit of 1,024 is meant for
//! programs that still use `select`; whoever doesn't may take as many as the system allows.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the system lets this process, and returns it.
///
/// # Errors
/// When it can't be read or raised.
pub fn raise_limit() -> std::io::Result<u64> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if now < most {
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    }
    Ok(most)
}
