//! The farm's wire between processes: TCP, TLS 1.3 both ways, HTTP/2. The only door to the TLS crate.
//!
//! ```text
//!   Dialler ── TCP ── TLS: the coordinator's certificate, and the caller's if it has one ──► accept ──► Connection
//!      │                                                                                       │           │
//!      └─ Credentials { own chain and key, trust }                              Credentials ───┘     Arrival { Peer, … }
//! ```
//!
//! Who calls is read from the one URI in its certificate: `kiln://agent/<uuid>` or `kiln://coordinator/<number>`. A
//! caller without certificate is [`Peer::Unidentified`]; what it may do then depends on what it says (a token).
//! Nothing but the farm's own authority is trusted, on either side: no system roots, no second name.

use std::time::Duration;

use tonic::transport::Server;

mod accept;
mod arrival;
mod connection;
mod credentials;
mod dial;
mod ended;
mod endpoint;
mod key;
mod pin;

#[cfg(test)]
mod tests;

pub use accept::{Limits, accept};
pub use arrival::{Arrival, BACKDATED, Peer, PeerError};
pub use connection::{Connection, Lane};
pub use credentials::{Credentials, CredentialsError, Identity, Trust};
pub use dial::{Dialler, authorities, dial, is_absence, is_distrust};
pub use ended::Ended;
pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError};
pub use key::{KeyError, PrivateKey};

/// The name that every coordinator's certificate bears, whatever its address: coordinators move, and nobody
/// else can have it.
pub const COORDINATOR_NAME: &str = "coordinator.kiln";

/// How often a silent connection is tried, and how long it may then stay silent. Without it a connection that
/// a broken network swallowed would never end.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a connection may take, name, TCP and TLS together.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a stream that may be under way unacknowledged: a batch of plans should not have to wait for round
/// trips.
pub const STREAM_WINDOW: u32 = 1 << 20;

/// Bytes of a connection that may be under way unacknowledged.
pub const CONNECTION_WINDOW: u32 = 4 << 20;

/// The most streams of a connection. Large, because a coordinator carries the streams of many agents over one
/// connection to the leader, and a stream that finds no place waits without a word.
const STREAMS: u32 = 32_768;

/// The most bytes of a request's headers.
const HEADER_BYTES: u32 = 16 << 10;

/// Streams that a peer may take back before they are looked at; beyond it the connection ends (the "rapid
/// reset" attack).
const PENDING_RESETS: usize = 64;

/// What is agreed on (by ALPN, RFC 7301) instead of `h2` for a connection that carries consensus and nothing else: the same
/// protocol by another name. A coordinator that doesn't know it agrees on `h2`.
const CONSENSUS: &[u8] = b"kiln-consensus";

/// A gRPC server for other coordinators. One that learns of another leader takes back the streams of thousands of
/// agents at the same moment, which is no attack.
pub fn server_for_coordinators() -> Server {
    server().http2_max_pending_accept_reset_streams(Some(STREAMS as usize))
}

/// A gRPC server with the limits of HTTP/2 that hold on the farm's wire.
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
}
