//! A founded farm on real sockets, and those who should not get anywhere with it.
#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "farm/client.rs"]
#[expect(dead_code, reason = "only its evaluation is needed here")]
mod client;
#[path = "security/farm.rs"]
mod farm;

#[path = "security/agents.rs"]
mod agents;
#[path = "security/cluster.rs"]
mod cluster;
#[path = "security/coordinators.rs"]
mod coordinators;
#[path = "security/people.rs"]
mod people;
#[path = "security/strangers.rs"]
mod strangers;
#[path = "security/tokens.rs"]
mod tokens;
