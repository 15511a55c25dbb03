//! The state of the farm and the only ways to change it: pure and deterministic, so that every coordinator
//! that applies the same commands holds the same state, and every rule is tested without a network or a
//! clock.
//!
//! ```text
//!   Command (with its time) ──► apply ──► FarmState ──► due, schedule, desired   (what should happen next)
//!                                  │
//!                                  └────► Outcome                                (what the asker learns)
//! ```
//!
//! Deliberately absent: async, clocks, randomness, files, `HashMap` (its order differs between processes).
//! Identifiers and times arrive in commands.

pub mod agent;
pub mod apply;
pub mod build;
pub mod command;
pub mod desired;
pub mod due;
pub mod explain;
pub mod identity;
pub mod image;
pub mod invariant;
pub mod lease;
pub mod liveness;
pub mod outcome;
pub mod overrun;
pub mod queue;
pub mod register;
pub mod retry;
pub mod schedule;
pub mod state;
pub mod task;
pub mod time;

#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentPhase, Offer, Room};
pub use apply::apply;
pub use build::{Build, BuildPhase, BuildResult, Origin};
pub use command::{Action, Command, Held, HeldPhase, NewTask};
pub use desired::{Holding, desired};
pub use explain::{Explanation, explain};
pub use identity::{
    Authority, IdentityAction, IdentityRefusal, Joined, NewToken, Newcomer, Projects, Role, TokenEnd,
    TokenRecord, TokenUse,
};
pub use image::{Image, ImageAction, ImageRefusal, Images, NewImage, Publisher};
pub use lease::Lease;
pub use liveness::Liveness;
pub use outcome::{Outcome, Refusal};
pub use overrun::Overrun;
pub use register::Register;
pub use retry::Verdict;
pub use schedule::{Assignment, Scheduler};
pub use state::FarmState;
pub use task::{AttemptEnd, EndedAttempt, Task, TaskPhase};
pub use time::Timestamp;
