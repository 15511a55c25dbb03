//! The events of one attempt in files, so that they outlive the attempt's process, the agent's, and the coordinator.
//!
//! ```text
//!   attempt ── Writer ──► 00…0.events  00…812.events  00…1604.events ──► Reader ── the link ──► coordinator
//!                          (removed)     ◄─── kept ───►  (appended to)      ▲
//!                              └───────────── durable: the reader removes whole files
//! ```
//!
//! One process writes and one reads; both may die at any time. A file begins with [`segment::MAGIC`], which names the format,
//! and is named by the place of its first event. An event is one record with a check sum; a record that is cut off is
//! one that isn't there yet, and a writer that comes back begins a new file.

use std::path::PathBuf;

pub mod reader;
mod segment;
pub mod writer;

pub use reader::Reader;
pub use writer::{Limits, Writer};

/// A spool can't be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the events in {}", path.display())]
pub struct SpoolError {
    /// What was being done.
    operation: &'static str,
    /// With which file or directory.
    path: PathBuf,
    /// Why.
    #[source]
    source: std::io::Error,
}

impl SpoolError {
    fn new(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { operation, path, source }
    }
}

#[cfg(test)]
mod tests;
