//! Whole runs of the kiln program, as a user makes them.

#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "program/bad_input.rs"]
mod bad_input;
#[path = "program/command_line.rs"]
mod command_line;
#[path = "program/completion.rs"]
mod completion;
#[path = "program/components.rs"]
mod components;
#[path = "program/console.rs"]
mod console;
#[path = "program/corpus.rs"]
mod corpus;
#[path = "program/data_sources.rs"]
mod data_sources;
#[path = "program/ending.rs"]
mod ending;
#[path = "program/examples.rs"]
mod examples;
#[path = "program/execution.rs"]
mod execution;
#[path = "program/farms.rs"]
mod farms;
#[path = "program/findings.rs"]
mod findings;
#[path = "program/format.rs"]
mod format;
#[path = "program/inspecting.rs"]
mod inspecting;
#[path = "program/old_templates.rs"]
mod old_templates;
#[path = "program/plugins.rs"]
mod plugins;
#[path = "program/secret_stores.rs"]
mod secret_stores;
#[path = "program/secrets.rs"]
mod secrets;
#[path = "program/traps.rs"]
mod traps;

use kiln_tests::program::Place;

/// A fresh place to run the program in.
fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_kiln"))
}
