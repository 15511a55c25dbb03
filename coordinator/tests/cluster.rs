//! Three coordinators in one process, over pipes that can be cut, with their ledgers on disk. Time stands still unless
//! everybody waits for it, so that an election takes no time at all and yet the time that it should.
#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "farm/agent.rs"]
#[allow(dead_code, reason = "shared with the tests of a single coordinator")]
mod agent;
#[path = "farm/client.rs"]
#[allow(dead_code, reason = "shared with the tests of a single coordinator")]
mod client;
#[path = "cluster/trio.rs"]
mod trio;
#[path = "cluster/wires.rs"]
mod wires;

#[path = "cluster/catching_up.rs"]
mod catching_up;
#[path = "cluster/forwarding.rs"]
mod forwarding;
#[path = "cluster/partition.rs"]
mod partition;
#[path = "cluster/restart.rs"]
mod restart;
