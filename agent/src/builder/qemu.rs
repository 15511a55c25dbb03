//! The builder `qemu`.

pub mod boot_command;
pub mod config;
pub mod keyboard;
pub mod qmp;
pub mod schema;
pub mod serial;
pub mod typist;
