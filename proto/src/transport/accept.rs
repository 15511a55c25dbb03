//! Taking connections in: handshakes go on side by side, each with a bound, and whoever stalls, speaks plain text or
//! talks garbage is dropped without a word to the others.
//!
//! ```text
//!   TCP ──► Gate: room? ── no ──► closed
//!             │ a place as a stranger
//!             ▼
//!           TLS, at most 10 s ── fails ──► closed
//!             │ a certificate of the farm: no stranger any more
//!             ▼
//!           Connection ──► the server: a token that is good ─► no stranger any more; none in a minute ─► closed
//! ```
//!
//! Strangers (in their handshake, or without certificate) have a limit of their own, so that they can't take
//! the room of agents and coordinators. When it is reached, the oldest handshake under way gives way to the newest, or else the
//! stranger that has been there longest: honest ones take milliseconds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

mod gate;

pub(super) use self::gate::Place;
use super::arrival::{self, Arrival, Peer};
use super::connection::Connection;
use super::credentials::Credentials;
use gate::Gate;

/// How many and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All connections together.
    pub connections: usize,
    /// Those in their handshake or without certificate.
    pub strangers: usize,
    /// The same, from one address (one /64 of IPv6).
    pub strangers_per_address: usize,
    /// How long a handshake may take; and once more until the client begins to speak.
    pub handshake: Duration,
    /// How long a connection without certificate may last on which nothing good was shown.
    pub stranger: Duration,
    /// Whether HTTP/1.1 may be agreed on besides HTTP/2.
    pub http1_too: bool,
}

impl Default for Limits {
    /// 16,384 connections, 4,096 strangers, 1,024 of one address, 10 s, a minute, HTTP/2 only.
    fn default() -> Self {
        Self {
            connections: 16_384,
            strangers: 4_096,
            strangers_per_address: 1_024,
            handshake: Duration::from_secs(10),
            stranger: Duration::from_secs(60),
            http1_too: false,
        }
    }
}

/// Connections that passed their handshake and wait for the server.
const WAITING: usize = 64;

/// The pause when the system lends no more sockets.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that come in, until the stream is dropped. A failed handshake is not an error of the stream.
pub fn accept(
    listener: TcpListener,
    credentials: Credentials,
    limits: Limits,
) -> impl Stream<Item = io::Result<Connection>> + Send + 'static {
    let (ready, connections) = mpsc::channel(WAITING);
    tokio::spawn(take_in(listener, credentials, limits, ready));
    ReceiverStream::new(connections)
}

type Ready = mpsc::Sender<io::Result<Connection>>;

async fn take_in(listener: TcpListener, credentials: Credentials, limits: Limits, ready: Ready) {
    let gate = Arc::new(Gate::new(limits));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => break,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken in; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = gate.enter(address.ip()) else {
            tracing::debug!(%address, "a connection was refused: there are too many");
            continue;
        };
        let (credentials, ready) = (credentials.clone(), ready.clone());
        let number = place.number();
        let shake = async move {
            let shaken =
                tokio::time::timeout(limits.handshake, shake(tcp, address, &credentials, limits)).await;
            let slow = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
            match shaken.unwrap_or_else(|elapsed| Err(slow(elapsed))) {
                Ok((stream, arrival)) => {
                    let go = place.stay();
                    if arrival.peer != Peer::Unidentified {
                        place.welcome();
                    }
                    let place = Arc::new(place);
                    let arrival = Arrival { place: Arc::downgrade(&place), ..arrival };
                    let connection = Connection::new(stream, arrival, limits, (place, go));
                    // A server that stops takes no more.
                    let _ = ready.send(Ok(connection)).await;
                }
                Err(error) => tracing::debug!(%address, %error, "a handshake failed"),
            }
        };
        gate.watch(number, tokio::spawn(shake).abort_handle());
    }
    gate.close();
}

type Stream13 = tokio_rustls::server::TlsStream<TcpStream>;

async fn shake(
    tcp: TcpStream,
    address: SocketAddr,
    credentials: &Credentials,
    limits: Limits,
) -> io::Result<(Stream13, Arrival)> {
    tcp.set_nodelay(true)?;
    let config = credentials.server(limits.http1_too);
    let config = config.ok_or_else(|| io::Error::other("this process has no certificate to show"))?;
    let stream = TlsAcceptor::from(config).accept(tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let named = certificate.map(arrival::of_certificate).transpose().map_err(io::Error::other)?;
    let (peer, expires) = named.map_or((Peer::Unidentified, None), |(peer, at)| (peer, Some(at)));
    Ok((stream, Arrival { address: Some(address), expires, ..Arrival::of(peer) }))
}
