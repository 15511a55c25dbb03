//! The harness that tests of the whole share.

pub mod guest;
pub mod leftovers;
pub mod program;
pub mod tree;
pub mod wait;
