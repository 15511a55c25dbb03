//! The builder `qemu`.

pub mod boot_command;
pub mod bridge;
pub mod command_line;
pub mod config;
pub mod guest;
pub mod keyboard;
pub mod qmp;
pub mod schema;
pub mod serial;
pub mod typist;
