//! The provisioners that come with Kiln, one file each.
//!
//! What the shell-like ones share lies in [`script`] (which script, which environment, which exit codes) and
//! [`remote`] (run something in the guest and let people read along), what the two Ansibles share in `galaxy`.

pub mod ansible;
pub mod ansible_local;
pub mod breakpoint;
pub mod file;
mod galaxy;
pub mod remote;
pub mod script;
pub mod shell;
pub mod shell_local;
pub mod sleep;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use kiln_component::Factory;

/// All of them.
pub fn factories() -> Vec<Factory> {
    vec![
        ansible::factory(),
        ansible_local::factory(),
        breakpoint::factory(),
        file::factory(),
        shell::factory(),
        shell_local::factory(),
        sleep::factory(),
    ]
}
