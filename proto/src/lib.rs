//! Everything that two processes must agree on, in space (on the wire) or in time (at rest).
//!
//! ```text
//!   command line ── Submission ──► coordinator ◄── AgentLink ── agent      [`v1`]
//!                                      │ ▲
//!                                      │ └── Peer ── other coordinators      [`peer`]
//!                                      └── ledger, at rest                 [`rest`]
//! ```
//!
//! All of it travels over TLS between processes that know each other by certificates of the farm's own authority
//! ([`transport`]), except in the pipe of a farm of one.
//!
//! Generated types stay at the borders: both ends turn them into the typed messages of [`submission`],
//! [`link`] and [`event`] at once, by [`convert`]. The files of a template travel as a [`bundle`].

pub mod bundle;
mod catalog;
pub mod convert;
pub mod event;
pub mod image;
pub mod link;
pub mod otlp;
pub mod peer;
pub mod rest;
pub mod status;
pub mod submission;
pub mod token;
pub mod transport;
pub mod v1;
pub mod view;

pub use convert::ConvertError;
pub use prost::bytes::Bytes;
pub use status::{Code, Problem};

/// The most bytes of one message on the wire. A request may carry the files of a template, a plan what it
/// writes into guests; both are far smaller as a rule.
pub const MESSAGE_LIMIT: usize = 64 << 20;
