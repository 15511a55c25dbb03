//! What a process shows of itself and whom it trusts. Both may be replaced while connections go on: a new
//! certificate counts from the next handshake on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_plan::fingerprint::Fingerprint;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use super::CONSENSUS;
use super::arrival::{self, Peer, PeerError};
use super::pin::Pinned;

/// A certificate with its chain, its own first and the authority's last, and its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Whom to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// These authorities. More than one only while one replaces another.
    Authorities(Vec<CertificateDer<'static>>),
    /// The authority with this SHA-256 of its certificate, which the server must show. For the first contact.
    Pinned(Fingerprint),
}

/// Own certificate, if any, and trust. Clones are the same ones, and are replaced together.
#[derive(Clone)]
pub struct Credentials {
    material: Arc<watch::Sender<Arc<Material>>>,
}

/// What the TLS crate makes of credentials.
struct Material {
    client: Arc<ClientConfig>,
    /// `None` without own certificate, or when only a fingerprint is known.
    server: Option<ServerConfigs>,
    peer: Peer,
    made: Option<i64>,
    expires: Option<i64>,
    names: Vec<String>,
}

#[derive(Clone)]
struct ServerConfigs {
    grpc: Arc<ServerConfig>,
    http1_too: Arc<ServerConfig>,
}

/// Credentials can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It isn't PEM, or nothing of the kind is in it.
    #[error("failed to read a {what} in PEM form")]
    Pem {
        /// What was sought.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate does not say whose it is.
    #[error("the certificate is not one of a farm")]
    Peer(#[source] PeerError),
    /// The TLS crate refuses them.
    #[error("the certificate, its key and the farm's authority don't go together")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Identity {
    /// From PEM texts: the chain, and the private key as PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// When a text has none of it.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|source| CredentialsError::Pem { what: "private key", source })?;
        Ok(Self { chain: certificates(chain)?, key })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Trust {
    /// The authorities of a PEM text.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn from_pem(authorities: &[u8]) -> Result<Self, CredentialsError> {
        Ok(Self::Authorities(certificates(authorities)?))
    }
}

pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let wrong = |source| CredentialsError::Pem { what: "certificate", source };
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(wrong)?;
    if all.is_empty() { Err(wrong(rustls_pki_types::pem::Error::NoItemsFound)) } else { Ok(all) }
}

impl Credentials {
    /// Of one who has a certificate.
    ///
    /// # Errors
    /// When certificate, key and trust don't go together.
    pub fn new(identity: Identity, trust: Trust) -> Result<Self, CredentialsError> {
        Self::of(Some(identity), trust)
    }

    /// Of one who has no certificate, and dials only.
    ///
    /// # Errors
    /// When an authority's certificate is unusable.
    pub fn anonymous(trust: Trust) -> Result<Self, CredentialsError> {
        Self::of(None, trust)
    }

    /// From PEM files: chain, private key, authorities.
    ///
    /// # Errors
    /// When a file can't be read, or they don't go together.
    pub fn load(chain: &Path, key: &Path, authorities: &Path) -> Result<Self, CredentialsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| CredentialsError::File { path: path.to_owned(), source })
        };
        let identity = Identity::from_pem(&read(chain)?, &read(key)?)?;
        Self::new(identity, Trust::from_pem(&read(authorities)?)?)
    }

    fn of(identity: Option<Identity>, trust: Trust) -> Result<Self, CredentialsError> {
        let material = Material::of(identity, trust)?;
        Ok(Self { material: Arc::new(watch::Sender::new(Arc::new(material))) })
    }

    /// Replaces them, for every handshake from now on.
    ///
    /// # Errors
    /// When the new ones don't go together; the old ones stay.
    pub fn replace(&self, identity: Identity, trust: Trust) -> Result<(), CredentialsError> {
        let material = Material::of(Some(identity), trust)?;
        self.material.send_replace(Arc::new(material));
        Ok(())
    }

    /// Whom they show; [`Peer::Unidentified`] without certificate.
    pub fn peer(&self) -> Peer {
        self.material.borrow().peer
    }

    /// When the certificate ends, in seconds since the Unix epoch; `None` without certificate.
    pub fn expires(&self) -> Option<i64> {
        self.material.borrow().expires
    }

    /// How much of the certificate's life is left when it is `now` (since the Unix epoch); none without certificate.
    pub fn left(&self, now: Duration) -> Duration {
        since_epoch(self.expires().unwrap_or(0)).saturating_sub(now)
    }

    /// How long it is until the certificate should be renewed: when two thirds of its life are over. Zero from then on.
    pub fn until_renewal(&self, now: Duration) -> Duration {
        let material = self.material.borrow();
        let (Some(made), Some(expires)) = (material.made, material.expires) else { return Duration::ZERO };
        let (made, expires) = (since_epoch(made), since_epoch(expires));
        (expires - expires.saturating_sub(made) / 3).saturating_sub(now)
    }

    /// How long to wait until it is looked again whether the certificate should be renewed. When it should have been
    /// already, that is a quarter of what is left of it, so that a renewal that failed is tried several times more.
    pub fn until_next_look(&self, now: Duration) -> Duration {
        let until = self.until_renewal(now);
        if until.is_zero() { self.left(now) / 4 } else { until }
    }

    /// The further names of a coordinator's certificate, besides the one that all of them bear.
    pub fn names(&self) -> Vec<String> {
        self.material.borrow().names.clone()
    }

    /// Waits until they are replaced.
    pub async fn replaced(&self) {
        let mut changes = self.material.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.changed().await;
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.material.borrow().client)
    }

    /// `None` when these credentials can't serve.
    pub(super) fn server(&self, http1_too: bool) -> Option<Arc<ServerConfig>> {
        let material = self.material.borrow();
        let configs = material.server.as_ref()?;
        Some(Arc::clone(if http1_too { &configs.http1_too } else { &configs.grpc }))
    }
}

fn since_epoch(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = self.material.borrow();
        f.debug_struct("Credentials")
            .field("peer", &material.peer)
            .field("expires", &material.expires)
            .finish_non_exhaustive()
    }
}

impl Material {
    fn of(identity: Option<Identity>, trust: Trust) -> Result<Self, CredentialsError> {
        let named =
            identity.as_ref().and_then(|identity| identity.chain.first()).map(arrival::of_certificate);
        let named = named.transpose().map_err(CredentialsError::Peer)?;
        let names = identity.as_ref().and_then(|identity| identity.chain.first()).map(arrival::names_of);
        let made = identity.as_ref().and_then(|identity| identity.chain.first()).and_then(arrival::made_at);
        let server = match (&identity, &trust) {
            (Some(identity), Trust::Authorities(authorities)) => Some(server(identity, authorities)?),
            _ => None,
        };
        Ok(Self {
            client: Arc::new(client(identity, trust)?),
            server,
            peer: named.map_or(Peer::Unidentified, |(peer, _)| peer),
            made,
            expires: named.map(|(_, expires)| expires),
            names: names.unwrap_or_default(),
        })
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> CredentialsError {
    CredentialsError::Refused(Box::new(error))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(refused)?;
    }
    Ok(Arc::new(roots))
}

fn client(identity: Option<Identity>, trust: Trust) -> Result<ClientConfig, CredentialsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(refused)?;
    let builder = match trust {
        Trust::Authorities(authorities) => builder.with_root_certificates(roots(&authorities)?),
        Trust::Pinned(authority) => {
            let verifier = Arc::new(Pinned::new(authority, provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(refused)?,
        None => builder.with_no_client_auth(),
    };
    // Who resumes a session is not verified again: a certificate that ended meanwhile would still count.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn server(
    identity: &Identity,
    authorities: &[CertificateDer<'static>],
) -> Result<ServerConfigs, CredentialsError> {
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(refused)?;
    let Identity { chain, key } = identity.clone();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![CONSENSUS.to_vec(), b"h2".to_vec()];
    let mut http1_too = config.clone();
    http1_too.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(ServerConfigs { grpc: Arc::new(config), http1_too: Arc::new(http1_too) })
}
