//! Agent and coordinator over the genuine protocol, with a store that obeys, and one that doesn't.

#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "images/farm.rs"]
mod farm;
#[path = "images/faults.rs"]
mod faults;
#[path = "images/life.rs"]
mod life;
