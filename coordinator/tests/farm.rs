//! A coordinator with false agents behind the genuine protocol, in one process. Time stands still unless the
//! farm waits for it, so that leases expire in no time.
#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "farm/agent.rs"]
mod agent;
#[path = "farm/client.rs"]
mod client;

#[path = "farm/life.rs"]
mod life;
#[path = "farm/loss.rs"]
mod loss;
#[path = "farm/readers.rs"]
mod readers;
#[path = "farm/succession.rs"]
mod succession;
