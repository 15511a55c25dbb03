//! Bytes to and from the object store, by links that somebody else signed.

use std::ops::Range;
use std::time::Duration;

use kiln_proto::Bytes;
use kiln_proto::image::Grant;
use reqwest::header::{CONTENT_LENGTH, RANGE};
use reqwest::{Certificate, Client, StatusCode};

/// How patient transfers are. The standard suits stores on the other side of the world.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a request may take in any case, and per MiB on top.
    pub request: Duration,
    /// Per MiB; 2 s bear with half a MiB each second.
    pub per_mib: Duration,
    /// How often a pack, or a part of one, is tried.
    pub tries: u32,
    /// The pause before the second try; doubles with each, up to sixteen times as long.
    pub pause: Duration,
    /// How long the coordinator may be away.
    pub outage: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            per_mib: Duration::from_secs(2),
            tries: 6,
            pause: Duration::from_millis(500),
            outage: Duration::from_secs(600),
        }
    }
}

impl Patience {
    fn limit(&self, bytes: u64) -> Duration {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        self.request.saturating_add(self.per_mib.saturating_mul(mib))
    }

    /// How long to wait before the next try after so many.
    pub(super) fn pause_after(&self, tries: u32) -> Duration {
        self.pause.saturating_mul(1 << tries.saturating_sub(1).min(4))
    }
}

/// A transfer failed. The link it went by is not told, for whoever has it may use it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The client could not be made.
    #[error("no connection to an object store can be made on this machine")]
    Client(#[source] reqwest::Error),
    /// No connection, or it broke, or it took too long.
    #[error("the object store could not be reached, or broke off")]
    Http(#[source] reqwest::Error),
    /// The store said no.
    #[error("the object store answered {status}{}", if told.is_empty() { String::new() } else { format!(": {told}") })]
    Status {
        /// Its answer.
        status: StatusCode,
        /// The beginning of what it said.
        told: String,
    },
    /// Not what was asked for.
    #[error("the object store sent {came} bytes instead of {wanted}")]
    Length {
        /// Bytes that came.
        came: u64,
        /// Bytes that were asked for.
        wanted: u64,
    },
}

/// Carries bytes. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Transfer {
    client: Client,
    pub(super) patience: Patience,
}

/// The most of an answer that is told.
const TOLD: usize = 300;

impl Transfer {
    /// A transfer that trusts the machine's certificate authorities and these (DER), as the farm's own.
    ///
    /// # Errors
    /// When a certificate can't be read, or there is no TLS on this machine.
    pub fn new(authorities: &[Vec<u8>], patience: Patience) -> Result<Self, TransferError> {
        // Fails only when a provider is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = authorities.iter().map(|der| Certificate::from_der(der));
        let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(TransferError::Client)?;
        let agent = concat!("Kiln/", env!("CARGO_PKG_VERSION"));
        // Packs go side by side, which several connections do better than streams of one.
        let mut client = Client::builder().user_agent(agent).connect_timeout(patience.connect).http1_only();
        if !certificates.is_empty() {
            client = client.tls_certs_merge(certificates);
        }
        Ok(Self { client: client.build().map_err(TransferError::Client)?, patience })
    }

    /// Sends an object.
    pub(super) async fn put(&self, grant: &Grant, bytes: Bytes) -> Result<(), TransferError> {
        let size = bytes.len() as u64;
        let mut request = self
            .client
            .put(&grant.url)
            .timeout(self.patience.limit(size))
            .header(CONTENT_LENGTH, size)
            .body(reqwest::Body::from(bytes));
        for (name, value) in &grant.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(bare)?;
        if response.status().is_success() { Ok(()) } else { Err(said_no(response).await) }
    }

    /// Brings a part of an object.
    pub(super) async fn get(&self, grant: &Grant, range: Range<u64>) -> Result<Bytes, TransferError> {
        let wanted = range.end - range.start;
        let mut request = self
            .client
            .get(&grant.url)
            .timeout(self.patience.limit(wanted))
            .header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        for (name, value) in &grant.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(bare)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            status if status.is_success() => {
                // The whole object would be more than was asked for.
                return Err(TransferError::Status { status, told: "it knows no ranges".into() });
            }
            _ => return Err(said_no(response).await),
        }
        let bytes = response.bytes().await.map_err(bare)?;
        let came = bytes.len() as u64;
        if came == wanted { Ok(bytes) } else { Err(TransferError::Length { came, wanted }) }
    }
}

fn bare(error: reqwest::Error) -> TransferError {
    TransferError::Http(error.without_url())
}

async fn said_no(mut response: reqwest::Response) -> TransferError {
    let status = response.status();
    let mut told = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        told.extend_from_slice(&piece);
        if told.len() >= TOLD {
            break;
        }
    }
    told.truncate(TOLD);
    let told = String::from_utf8_lossy(&told).split_whitespace().collect::<Vec<_>>().join(" ");
    TransferError::Status { status, told }
}
