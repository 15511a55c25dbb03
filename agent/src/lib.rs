//! The agent: link, builders, communicators, provisioners, post-processors.

pub mod link;
