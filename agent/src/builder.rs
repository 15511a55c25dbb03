//! The builders that are part of this program, and the step that they share.

pub mod file;
pub mod null;
pub mod provision;
pub mod qemu;
