//! The farm's certificate authority: ECDSA on P-256, made once, good for ten years. It decides itself what stands in a
//! certificate; of a signing request only the public key counts.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln_model::Timestamp;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::transport::{BACKDATED, COORDINATOR_NAME, Peer};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    date_time_ymd,
};

use super::farm_key::{FarmKeyError, OpenSealedError, Sealer, random};

/// How long certificates are good. Each is renewed when a third of that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// An agent's; a day unless given.
    pub agent: Duration,
    /// A coordinator's; 30 days unless given.
    pub coordinator: Duration,
}

impl Lives {
    /// The shortest life of a certificate. Useful ones are longer than clocks differ and networks fail.
    pub const SHORTEST: Duration = Duration::from_secs(30);
}

impl Default for Lives {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3_600);
        Self { agent: day, coordinator: day * 30 }
    }
}

/// How long the authority is good.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// The most bytes of a signing request.
const REQUEST_BYTES: usize = 16 << 10;

/// What the authority's key is sealed as.
const SEALED_AS: &str = "authority key";

/// The authority, able to sign.
pub struct Authority {
    pem: String,
    fingerprint: Fingerprint,
    issuer: Issuer<'static, KeyPair>,
}

/// The authority could not be made, opened, or could not certify.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The farm has none.
    #[error("the farm has no authority yet; found it with `kiln coordinator init`")]
    NotFounded,
    /// This coordinator can't unseal it.
    #[error("this coordinator has no farm key; copy it from another, or join again")]
    NoFarmKey,
    /// Its key is damaged.
    #[error("the authority's key can't be read")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its key can't be unsealed.
    #[error("the authority's key can't be unsealed")]
    Sealed(#[source] OpenSealedError),
    /// It could not be made.
    #[error("failed to make the farm's authority")]
    Make(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No random bytes.
    #[error("failed to make a secret")]
    Chance(#[source] FarmKeyError),
    /// What should be certified makes no sense.
    #[error("the signing request can't be read, or is not signed with its own key")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is too large.
    #[error("the signing request has {0} bytes, more than {REQUEST_BYTES}")]
    TooLarge(usize),
    /// The certificate could not be signed.
    #[error("failed to sign a certificate")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A public key that somebody proved to have.
pub struct Requested {
    key: rcgen::PublicKey,
}

/// Whom to certify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Who.
    pub peer: Peer,
    /// Further names of a coordinator, for those who dial it without knowing about farms (browsers, probes).
    pub names: Vec<String>,
    /// How long the certificate is good.
    pub life: Duration,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// It and the authority's, as PEM.
    pub chain: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Requested {
    /// Reads a signing request in DER, and checks that it was signed with its own key.
    ///
    /// # Errors
    /// When it is too large, damaged, or not signed rightly.
    pub fn read(request: &[u8]) -> Result<Self, AuthorityError> {
        if request.len() > REQUEST_BYTES {
            return Err(AuthorityError::TooLarge(request.len()));
        }
        let parsed = CertificateSigningRequestParams::from_der(&request.into());
        parsed.map(|parsed| Self { key: parsed.public_key }).map_err(|e| AuthorityError::Request(Box::new(e)))
    }

    /// The digest of the public key.
    pub fn digest(&self) -> Fingerprint {
        Fingerprint::of_bytes(&self.key.subject_public_key_info())
    }
}

impl fmt::Debug for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requested").field(&self.digest()).finish()
    }
}

impl Authority {
    /// Makes an authority, and returns what the ledger keeps of it.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn found(sealer: &Sealer, now: Timestamp) -> Result<(Self, kiln_model::Authority), AuthorityError> {
        let make = |error: rcgen::Error| AuthorityError::Make(Box::new(error));
        let key = KeyPair::generate().map_err(make)?;
        let mut params = CertificateParams::default();
        let mark: [u8; 4] = random().map_err(AuthorityError::Chance)?;
        params.distinguished_name = name(&format!("Kiln farm {}", hex::encode(mark)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        limit(&mut params, now, AUTHORITY_LIFE)?;
        let certificate = params.self_signed(&key).map_err(make)?;
        let sealed = sealer.seal(SEALED_AS, key.serialized_der()).map_err(AuthorityError::Chance)?;
        let record =
            kiln_model::Authority { certificate: certificate.pem(), sealed_key: STANDARD.encode(sealed) };
        Ok((Self::open(&record, sealer)?, record))
    }

    /// Opens the authority that the ledger keeps.
    ///
    /// # Errors
    /// When its key can't be unsealed or read.
    pub fn open(record: &kiln_model::Authority, sealer: &Sealer) -> Result<Self, AuthorityError> {
        let damaged = |error| AuthorityError::Damaged(error);
        let sealed = STANDARD.decode(&record.sealed_key).map_err(|error| damaged(error.into()))?;
        let key = sealer.open(SEALED_AS, &sealed).map_err(AuthorityError::Sealed)?;
        let key = KeyPair::try_from(key).map_err(|error| damaged(error.into()))?;
        let fingerprint = fingerprint(&record.certificate).ok_or_else(|| damaged("it is no PEM".into()))?;
        let issuer = Issuer::from_ca_cert_pem(&record.certificate, key);
        let issuer = issuer.map_err(|error| damaged(error.into()))?;
        Ok(Self { pem: record.certificate.clone(), fingerprint, issuer })
    }

    /// The key of a record sealed anew with the first key; `None` when it already is.
    ///
    /// # Errors
    /// When it can't be unsealed.
    pub fn resealed(
        record: &kiln_model::Authority,
        sealer: &Sealer,
    ) -> Result<Option<String>, AuthorityError> {
        let sealed = STANDARD.decode(&record.sealed_key);
        let sealed = sealed.map_err(|error| AuthorityError::Damaged(Box::new(error)))?;
        if sealer.is_current(&sealed) {
            return Ok(None);
        }
        let key = sealer.open(SEALED_AS, &sealed).map_err(AuthorityError::Sealed)?;
        let sealed = sealer.seal(SEALED_AS, &key).map_err(AuthorityError::Chance)?;
        Ok(Some(STANDARD.encode(sealed)))
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The SHA-256 of its certificate, as tokens carry it.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Certifies a key.
    ///
    /// # Errors
    /// When a name can't be one, or the system gives no random bytes.
    pub fn certify(
        &self,
        requested: &Requested,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Certified, AuthorityError> {
        let sign = |error: rcgen::Error| AuthorityError::Sign(Box::new(error));
        let nobody = || AuthorityError::Sign("there is no certificate for those without a name".into());
        let uri = subject.peer.uri().ok_or_else(nobody)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&subject.peer.to_string());
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().map_err(sign)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        if let Peer::Coordinator(_) = subject.peer {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params.subject_alt_names.push(dns_name(COORDINATOR_NAME).map_err(sign)?);
            for further in &subject.names {
                params.subject_alt_names.push(dns_name(further).map_err(sign)?);
            }
        }
        limit(&mut params, now, subject.life)?;
        let certificate = params.signed_by(&requested.key, &self.issuer).map_err(sign)?;
        let chain = format!("{}{}", certificate.pem(), self.pem);
        Ok(Certified { chain, expires: now.plus_ms(millis(subject.life)) })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn dns_name(text: &str) -> Result<SanType, rcgen::Error> {
    Ok(match text.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(text.try_into()?),
    })
}

/// Sets from when to when a certificate is good, and its serial number.
fn limit(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Result<(), AuthorityError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let now = Duration::from_millis(now.0);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + life;
    let mut serial: [u8; 16] = random().map_err(AuthorityError::Chance)?;
    // Positive, and as long as it is.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The SHA-256 of a certificate in PEM.
pub(crate) fn fingerprint(pem: &str) -> Option<Fingerprint> {
    let body = pem.split("-----BEGIN CERTIFICATE-----").nth(1)?.split("-----END").next()?;
    let compact: String = body.split_whitespace().collect();
    STANDARD.decode(compact).ok().map(|der| Fingerprint::of_bytes(&der))
}
