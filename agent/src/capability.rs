//! What this machine offers: found out by trying, not by assuming.

pub mod accelerator;
pub mod survey;
mod tools;
