//! The builder `qemu`.

pub mod boot_command;
pub mod keyboard;
pub mod qmp;
pub mod serial;
pub mod typist;
