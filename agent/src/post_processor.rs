//! The post-processors that come with Kiln, one file each.

pub mod shell_local;
