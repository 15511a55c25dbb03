//! A private key that is made here and never leaves: what goes to the authority is a signing request.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};

/// A private key, ECDSA on P-256.
pub struct PrivateKey(KeyPair);

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} a private key")]
pub struct KeyError {
    /// What was tried, as in `read`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl PrivateKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate().map(Self).map_err(|error| wrong("make", error))
    }

    /// From its PEM text.
    ///
    /// # Errors
    /// When it holds no key that can sign.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        KeyPair::from_pem(pem).map(Self).map_err(|error| wrong("read", error))
    }

    /// As PEM text, for a file that nobody else may read.
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A request for a certificate for this key, in DER. It bears no names: the authority knows whom it
    /// certifies.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn request(&self) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(|error| wrong("sign with", error))?;
        Ok(request.der().to_vec())
    }
}

fn wrong(operation: &'static str, source: rcgen::Error) -> KeyError {
    KeyError { operation, source: Box::new(source) }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}
