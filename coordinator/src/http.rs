//! What the coordinator answers over HTTP.

pub mod objects;
