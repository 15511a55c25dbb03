//! The builders that come with Kiln, one file each.

pub mod qemu;
