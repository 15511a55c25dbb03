//! A founded farm on real sockets, and those who should not get anywhere with it.
#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "farm/client.rs"]
#[expect(dead_code, reason = "only its evaluation is needed here")]
mod client;
#[path = "security/farm.rs"]
mod farm;

#[path = "security/agents.rs"]
mod agents;
#[path = "security/bundles.rs"]
mod bundles;
#[path = "security/burst.rs"]
mod burst;
#[path = "security/cluster.rs"]
mod cluster;
#[path = "security/coordinators.rs"]
mod coordinators;
#[path = "security/http.rs"]
mod http;
#[path = "security/people.rs"]
mod people;
#[path = "security/raw.rs"]
mod raw;
#[path = "security/rubbish.rs"]
mod rubbish;
#[path = "security/slow.rs"]
mod slow;
#[path = "security/strangers.rs"]
mod strangers;
#[path = "security/tokens.rs"]
mod tokens;
