//! The harness that tests of the whole share.

pub mod tree;
