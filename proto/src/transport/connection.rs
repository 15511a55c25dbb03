//! A connection that passed its handshake: bytes both ways, who is at the other end, and three bounds. It ends with
//! the certificate of the other end; it ends when the other end doesn't begin to speak; and it ends when a stranger has shown
//! nothing good after a while, however much it says.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::CONSENSUS;
use super::accept::{Limits, Place};
use super::arrival::{Arrival, Peer};

/// The bytes with which every HTTP/2 client begins. Before they are there nobody watches the connection.
const PREFACE_BYTES: usize = 24;

/// A timer further away than this is as good as none: certificates are renewed long before.
const FAR: Duration = Duration::from_secs(400 * 24 * 3_600);

/// What a connection carries, by the protocol that was agreed on and who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// HTTP/1.1, where that is allowed.
    Http1,
    /// HTTP/2 of agents and people.
    Crowd,
    /// What another coordinator passes on for thousands of them, and large things.
    Coordinators,
    /// Consensus and nothing else, of another coordinator.
    Consensus,
}

/// A connection with a client.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    arrival: Arrival,
    /// Bytes of the beginning that are still to come.
    missing: usize,
    /// Until when the beginning must be there.
    begin: Pin<Box<Sleep>>,
    /// When the certificate ends.
    end: Option<Pin<Box<Sleep>>>,
    /// Until when a stranger may stay.
    stay: Pin<Box<Sleep>>,
    /// Tells when a stranger must make room.
    go: oneshot::Receiver<()>,
    shown_out: bool,
    place: Arc<Place>,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        arrival: Arrival,
        limits: Limits,
        (place, go): (Arc<Place>, oneshot::Receiver<()>),
    ) -> Self {
        let now = Instant::now();
        let left = arrival.expires.map(|expires| left_until(expires, SystemTime::now()).min(FAR));
        Self {
            stream,
            arrival,
            missing: PREFACE_BYTES,
            begin: Box::pin(sleep_until(now + limits.handshake)),
            end: left.map(|left| Box::pin(sleep_until(now + left))),
            stay: Box::pin(sleep_until(now + limits.stranger)),
            go,
            shown_out: false,
            place,
        }
    }

    /// Who is at the other end.
    pub fn arrival(&self) -> Arrival {
        self.arrival.clone()
    }

    /// What it carries.
    pub fn lane(&self) -> Lane {
        let coordinator = matches!(self.arrival.peer, Peer::Coordinator(_));
        match self.stream.get_ref().1.alpn_protocol() {
            Some(CONSENSUS) if coordinator => Lane::Consensus,
            Some(CONSENSUS | b"h2") if coordinator => Lane::Coordinators,
            Some(CONSENSUS | b"h2") => Lane::Crowd,
            _ => Lane::Http1,
        }
    }

    /// Why nothing more may be read, if so.
    fn over(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        if self.missing > 0 && self.begin.as_mut().poll(cx).is_ready() {
            return Some(io::Error::new(ErrorKind::TimedOut, "the client did not begin to speak"));
        }
        if !self.place.is_known() {
            if self.stay.as_mut().poll(cx).is_ready() {
                return Some(io::Error::new(ErrorKind::TimedOut, "the client showed nothing good in time"));
            }
            self.shown_out = self.shown_out || Pin::new(&mut self.go).poll(cx).is_ready();
            // It is let go as well when the stranger becomes known.
            if self.shown_out && !self.place.is_known() {
                return Some(io::Error::new(
                    ErrorKind::ConnectionAborted,
                    "the client made room for another",
                ));
            }
        }
        let ended = self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
        ended.then(|| io::Error::new(ErrorKind::ConnectionAborted, "the client's certificate has expired"))
    }
}

/// How long until a point in time, in seconds since the Unix epoch.
fn left_until(expires: i64, now: SystemTime) -> Duration {
    let end = UNIX_EPOCH + Duration::from_secs(u64::try_from(expires).unwrap_or(0));
    end.duration_since(now).unwrap_or_default()
}

impl Connected for Connection {
    type ConnectInfo = Arrival;

    fn connect_info(&self) -> Arrival {
        self.arrival.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(over) = self.over(cx) {
            return Poll::Ready(Err(over));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.missing = self.missing.saturating_sub(buf.filled().len() - before);
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
