//! CDs and floppies made for a guest: its answers to the installer, its drivers, its cloud-init seed.
//!
//! [`tree`] gathers what goes onto a medium, by Packer's rules of what lands where; [`cd`] and [`floppy`] write it
//! as an image. No program needs to be installed for either.

pub mod cd;
pub mod config;
pub mod floppy;
pub mod tree;
