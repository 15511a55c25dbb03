//! Dialling: one channel to whichever coordinator answers first, beginning with the one that answered last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use kiln_plan::fingerprint::Fingerprint;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint as Settings, Uri};

use super::credentials::{Credentials, Trust};
use super::endpoint::Endpoint;
use super::{CONNECT_LIMIT, CONNECTION_WINDOW, CONSENSUS, COORDINATOR_NAME, KEEP_ALIVE, STREAM_WINDOW};

/// Makes channels to the coordinators of a farm. Clones share what they learn about who answers.
#[derive(Clone, Debug)]
pub struct Dialler {
    endpoints: Arc<[Endpoint]>,
    credentials: Credentials,
    /// The endpoint that is tried first.
    first: Arc<AtomicUsize>,
    for_consensus: bool,
}

/// What a failed handshake is told as: whoever answers is not of the farm, or doesn't speak TLS.
const DISTRUST: io::ErrorKind = io::ErrorKind::InvalidData;

/// What it is told as that nobody answers.
const ABSENCE: io::ErrorKind = io::ErrorKind::NotConnected;

/// Whether a call failed since none of those who answer can be believed. Trying again helps little against that.
pub fn is_distrust(status: &tonic::Status) -> bool {
    is_caused_by(status, DISTRUST)
}

/// Whether a call failed since nobody answers. Nothing of it was sent.
pub fn is_absence(status: &tonic::Status) -> bool {
    is_caused_by(status, ABSENCE)
}

fn is_caused_by(status: &tonic::Status, kind: io::ErrorKind) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A channel to whichever of these coordinators answers. It connects with its first request, and again when its
/// connection breaks, then perhaps to another coordinator and with newer credentials.
pub fn dial(endpoints: &[Endpoint], credentials: &Credentials) -> Channel {
    Dialler::new(endpoints, credentials).channel()
}

/// The certificates (DER) of the authorities that are trusted, for clients of other kinds: what is only known by its
/// fingerprint is asked of whichever of these coordinators answers.
///
/// # Errors
/// When none answers that shows it.
pub async fn authorities(endpoints: &[Endpoint], trust: &Trust) -> io::Result<Vec<Vec<u8>>> {
    let fingerprint = match trust {
        Trust::Authorities(all) => return Ok(all.iter().map(|certificate| certificate.to_vec()).collect()),
        Trust::Pinned(fingerprint) => fingerprint,
    };
    let credentials = Credentials::anonymous(trust.clone()).map_err(io::Error::other)?;
    let stream = Dialler::new(endpoints, &credentials).connect().await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let found = shown.iter().find(|certificate| Fingerprint::of_bytes(certificate) == *fingerprint);
    // The handshake would have failed without it.
    found.map(|found| vec![found.to_vec()]).ok_or_else(|| io::Error::other("no authority was shown"))
}

impl Dialler {
    /// For these coordinators, at least one.
    pub fn new(endpoints: &[Endpoint], credentials: &Credentials) -> Self {
        let (credentials, first) = (credentials.clone(), Arc::default());
        Self { endpoints: endpoints.into(), credentials, first, for_consensus: false }
    }

    /// The same for channels that carry consensus and nothing else.
    #[must_use]
    pub fn for_consensus(self) -> Self {
        Self { for_consensus: true, ..self }
    }

    /// The credentials that are shown.
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A channel, as [`dial`] makes it.
    pub fn channel(&self) -> Channel {
        let dialler = self.clone();
        let connect = move |_: Uri| {
            let dialler = dialler.clone();
            async move { dialler.connect().await.map(TokioIo::new) }
        };
        // Every certificate bears this name; where to dial is the dialler's to know.
        Settings::from_static("https://coordinator.kiln")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(tower::service_fn(connect))
    }

    /// Begins with the next coordinator at the next connection: this one answers, but is of no use.
    pub fn move_on(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection to the first that answers, each within [`CONNECT_LIMIT`].
    ///
    /// # Errors
    /// When none answers: what is wrong with each.
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let count = self.endpoints.len();
        let first = self.first.load(Ordering::Relaxed);
        let (mut failures, mut distrusted) = (Vec::new(), 0);
        for place in (0..count).map(|step| (first.wrapping_add(step)) % count) {
            let endpoint = &self.endpoints[place];
            match self.try_endpoint(endpoint).await {
                Ok(stream) => {
                    self.first.store(place, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => {
                    distrusted += usize::from(error.kind() == DISTRUST);
                    failures.push(format!("{endpoint}: {error}"));
                }
            }
        }
        let reasons = if failures.is_empty() { "no address is given".into() } else { failures.join("; ") };
        let message = format!("failed to reach a coordinator of the farm ({reasons})");
        if distrusted < count || count == 0 {
            return Err(io::Error::new(ABSENCE, message));
        }
        Err(io::Error::new(
            DISTRUST,
            format!("{message}; who answers is not of this farm, check address and token"),
        ))
    }

    /// A name may have several addresses, of one coordinator each.
    async fn try_endpoint(&self, endpoint: &Endpoint) -> io::Result<TlsStream<TcpStream>> {
        let slow = |what| io::Error::new(io::ErrorKind::TimedOut, what);
        let lookup = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
        let found =
            timeout(CONNECT_LIMIT, lookup).await.map_err(|_| slow("its name was not found in time"))?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in found? {
            match timeout(CONNECT_LIMIT, self.try_address(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = slow("it did not answer in time"),
            }
        }
        Err(last)
    }

    async fn try_address(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(COORDINATOR_NAME).expect("it is a DNS name");
        let mut config = self.credentials.client();
        if self.for_consensus {
            Arc::make_mut(&mut config).alpn_protocols.insert(0, CONSENSUS.to_vec());
        }
        TlsConnector::from(config).connect(name, tcp).await
    }
}
