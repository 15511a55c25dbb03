//! Certificates that have ended, as a machine shows them that was off for longer than its certificate lived.

use kiln_plan::fingerprint::Fingerprint;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::arrival::{self, Peer};
use super::credentials::{CredentialsError, certificates, provider};

/// A certificate that was good when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose it was.
    pub peer: Peer,
    /// When it ended, or will, in seconds since the Unix epoch.
    pub expires: i64,
    /// The digest of its public key (SHA-256 of the SubjectPublicKeyInfo).
    pub key: Fingerprint,
}

impl Ended {
    /// Verifies a chain as of its last second against an authority, both as PEM. Whoever shows it must prove
    /// elsewhere that they have its key.
    ///
    /// # Errors
    /// When it is damaged, of another authority, or names nobody.
    pub fn verify(chain: &str, authority: &str) -> Result<Self, CredentialsError> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| CredentialsError::Refused(error);
        let chain = certificates(chain.as_bytes())?;
        let (own, others) = chain.split_first().ok_or_else(|| refused("it is empty".into()))?;
        let (peer, expires) = arrival::of_certificate(own).map_err(CredentialsError::Peer)?;
        let mut roots = RootCertStore::empty();
        let wrong = |source| CredentialsError::Pem { what: "certificate", source };
        let authority = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(wrong)?;
        roots.add(authority).map_err(|error| refused(error.into()))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| refused(error.into()))?;
        let last = u64::try_from(expires).unwrap_or(0).saturating_sub(1);
        let then = UnixTime::since_unix_epoch(Duration::from_secs(last));
        verifier.verify_client_cert(own, others, then).map_err(|error| refused(error.into()))?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|error| refused(Box::new(error)))?;
        Ok(Self { peer, expires, key: Fingerprint::of_bytes(parsed.public_key().raw) })
    }
}
