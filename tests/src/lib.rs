//! The harness that tests of the whole share.

pub mod guest;
pub mod leftovers;
pub mod load;
pub mod plugins;
pub mod program;
pub mod server;
pub mod simulation;
pub mod source;
pub mod sshd;
pub mod store;
pub mod tree;
pub mod wait;
