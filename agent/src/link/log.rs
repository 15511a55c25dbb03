//! What the link asks of an attempt's events on their way out, wherever they are kept: in memory for attempts in this
//! process ([`super::outlog`]), in files for those in processes of their own (`crate::spool`).
//!
//! ```text
//!   records:   durable │ taken, not durable │ sent, not taken │ to be sent
//!    (forgotten)       ◄──── kept: a new connection sends all of it again ────►
//! ```
//!
//! *Taken* is flow: an attempt's end may be reported once all its events were, with the place after the last of them, so that
//! a coordinator that took over meanwhile knows what it lacks. *Durable* is the coordinator's word that
//! they outlive it; only then they are forgotten, since the next coordinator knows nothing of what this one took.

use std::fmt::Debug;

use kiln_plan::event::EventKind;
use kiln_proto::event::Record;

/// The events of one attempt, in order and without gaps.
pub trait Log: Debug + Send {
    /// Adds an event if there is `room`. Logs that others write to take none.
    fn push(&mut self, at_ms: u64, kind: &EventKind, room: Room);

    /// What is to be sent next, at most `room` bytes of it, which it takes from there; one event fits always unless the
    /// room is used up.
    fn send(&mut self, room: &mut usize) -> Vec<Record>;

    /// The coordinator has everything before `next`.
    fn taken(&mut self, next: u64);

    /// Everything before `next` outlives the coordinator, and is forgotten here.
    fn durable(&mut self, next: u64);

    /// Nothing of it will be taken any more.
    fn refuse(&mut self);

    /// A new connection: what is not durable is sent again.
    fn rewind(&mut self);

    /// The place after the last event; `None` when nothing of it is wanted.
    fn said(&mut self) -> Option<u64>;

    /// Whether everything so far has been taken, or nothing more will be.
    fn is_flushed(&mut self) -> bool;

    /// Whether everything so far is durable, or nobody wants it.
    fn is_settled(&mut self) -> bool;

    /// Bytes of memory that it takes.
    fn bytes(&self) -> usize;
}

/// How much room there is for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// For all.
    Ample,
    /// For those that matter.
    Scarce,
    /// For none.
    None,
}
