//! A whole farm in one thread, from a seed: the genuine model, scheduler and liveness of the coordinators and the genuine
//! table of attempts of the agents, with everything around them simulated, above all what goes wrong.
//!
//! ```text
//!   client ──► leader ── proposals ──► ledger of three ──► kiln_model::apply ──► invariants, after every command
//!                │ ▲                   (leaders change, acknowledgements get lost)
//!                │ └── CurrentState, events, publications ◄── connections that delay, double, lose and break
//!                └──── DesiredState ─────────────────────────► machines: link::table, guests, uploads
//! ```
//!
//! Every choice comes from one number, so every failure is a number. Safety ([`invariant`]) is checked after every
//! command; then everything is healed, and every build must end.

pub mod dice;
pub mod invariant;
mod leader;
mod ledger;
mod machine;
mod trouble;
pub mod world;

pub use ledger::Sabotage;
pub use world::{Report, World};

/// Runs one seed to its end.
///
/// # Errors
/// Which law was broken, with the last that happened.
pub fn run(seed: u64) -> Result<Report, String> {
    World::new(seed, None).run()
}

/// Runs one seed with a ledger that breaks a rule on purpose: whoever believes the invariants must see them fail.
///
/// # Errors
/// As [`run`]; no error means that nobody noticed.
pub fn run_sabotaged(seed: u64, sabotage: Sabotage) -> Result<Report, String> {
    World::new(seed, Some(sabotage)).run()
}
