//! TLS for those who send bytes that no client would send, and at a pace that none would.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::farm::Farm;

/// The bytes with which HTTP/2 begins, and an empty frame of settings.
pub(crate) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Longer than anybody may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it takes to connect, for threads that can't wait otherwise.
#[derive(Clone)]
pub(crate) struct Door {
    address: (String, u16),
    config: Arc<ClientConfig>,
}

impl Door {
    /// For somebody who has the authority's certificate and nothing else, and speaks this protocol.
    pub(crate) fn of(farm: &Farm, protocol: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(farm.place.authority()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { address: (farm.endpoint.host().to_owned(), farm.endpoint.port()), config: Arc::new(config) }
    }

    /// A connection that has shaken hands. Blocks.
    pub(crate) fn open(&self) -> Raw {
        let name = ServerName::try_from("coordinator.kiln").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut tcp = TcpStream::connect(&self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).unwrap();
        }
        Raw(StreamOwned::new(tls, tcp))
    }
}

/// A connection.
pub(crate) struct Raw(StreamOwned<ClientConnection, TcpStream>);

impl Raw {
    /// Sends what may not be taken, since the other end may be gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// Sends the same again and again, slowly, until the other end closes. Fails when it never does.
    pub(crate) fn trickle(mut self, bytes: &[u8]) {
        let began = Instant::now();
        self.0.sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        while began.elapsed() < PATIENCE {
            self.send(bytes);
            match self.0.read(&mut [0; 1024]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
        panic!("somebody slow was let be for {PATIENCE:?}");
    }

    /// Waits until the other end closes, and returns what it said.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut said = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut said) {
            assert!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "the other end didn't close"
            );
        }
        said
    }
}

/// Does what blocks on a thread of its own.
pub(crate) fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
