//! `kiln agent` as a farm's operator knows it: the real program and real attempts, before a coordinator that does what the
//! test says.

#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "farm/coordinator.rs"]
mod coordinator;
#[path = "farm/ending.rs"]
mod ending;
#[path = "farm/plans.rs"]
#[allow(dead_code, reason = "the tests with guests need more of it")]
mod plans;
#[path = "farm/restarting.rs"]
mod restarting;
#[path = "farm/scene.rs"]
mod scene;
