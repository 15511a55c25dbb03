//! Key pairs: the temporary one that a guest is told of, and those that a template names.
//!
//! Packer makes RSA keys of 4096 bits where a template is silent, which takes seconds. Kiln makes ECDSA P-256
//! there: known to every OpenSSH since 5.7 (2011) and dropbear since 2013, allowed in FIPS mode (ed25519 is
//! not), and made in a millisecond. A template that asks for a kind or a size gets what it asks for.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::secret::Sensitive;
use kiln_plan::{Failure, Fault};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::private::{EcdsaKeypair, Ed25519Keypair, RsaKeypair};
use russh::keys::ssh_key::{self, LineEnding};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, PrivateKey, decode_secret_key, encode_pkcs8_pem};

use super::config::SshConfig;

/// Why a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has a passphrase.
    #[error(
        "the private key is protected by a passphrase; remove it with `ssh-keygen -p`, or load the key into an ssh-agent and set ssh_agent_auth"
    )]
    Encrypted,
    /// It is a DSA key.
    #[error(
        "DSA keys are no longer supported, and OpenSSH has dropped them as well; use ed25519, ecdsa or rsa"
    )]
    Dsa,
    /// It is no key in a known form.
    #[error("this is no private key in OpenSSH, PKCS#1, PKCS#8, SEC1 or PuTTY form")]
    Malformed(#[source] Box<russh::keys::Error>),
    /// The certificate can't be read.
    #[error("this is no OpenSSH certificate")]
    MalformedCertificate(#[source] ssh_key::Error),
    /// The certificate can't be used.
    #[error("the certificate {0}")]
    Certificate(String),
    /// The kind of key isn't known.
    #[error("{0:?} is no kind of key; write ecdsa, ed25519 or rsa")]
    UnknownKind(String),
    /// The size doesn't suit the kind.
    #[error("{bits} is no size for {kind} keys; {allowed}")]
    Size {
        /// The kind of key.
        kind: &'static str,
        /// What was asked for.
        bits: i64,
        /// What could be asked for.
        allowed: &'static str,
    },
    /// It could not be made.
    #[error("cannot make a key pair")]
    Making(#[source] ssh_key::Error),
    /// It could not be put into text.
    #[error("cannot encode the key pair")]
    Encoding(#[source] Box<russh::keys::Error>),
}

/// What kind of key to make (`temporary_key_pair_type`, `temporary_key_pair_bits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of so many bits, from 1024 to 16384.
    Rsa(u32),
    /// ECDSA on the NIST curve of 256 bits.
    EcdsaP256,
    /// ECDSA on the NIST curve of 384 bits.
    EcdsaP384,
    /// ECDSA on the NIST curve of 521 bits.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// What a template asks for. `kind` is case-insensitive and may be empty; `bits` may be 0 for the usual size.
    ///
    /// # Errors
    /// When there is no such kind, or the size doesn't suit it.
    pub fn asked_for(kind: &str, bits: i64) -> Result<Self, KeyError> {
        match (kind.to_ascii_lowercase().as_str(), bits) {
            ("", 0) => Ok(Self::EcdsaP256),
            ("rsa", 0) => Ok(Self::Rsa(4096)),
            ("" | "rsa", 1024..=16384) => Ok(Self::Rsa(u32::try_from(bits).expect("at most 16384"))),
            ("" | "rsa", _) => {
                Err(KeyError::Size { kind: "rsa", bits, allowed: "write a number from 1024 to 16384" })
            }
            ("ecdsa", 256) => Ok(Self::EcdsaP256),
            ("ecdsa", 384) => Ok(Self::EcdsaP384),
            ("ecdsa", 0 | 521) => Ok(Self::EcdsaP521),
            ("ecdsa", _) => Err(KeyError::Size { kind: "ecdsa", bits, allowed: "write 256, 384 or 521" }),
            ("ed25519", _) => Ok(Self::Ed25519),
            ("dsa", _) => Err(KeyError::Dsa),
            _ => Err(KeyError::UnknownKind(kind.to_owned())),
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => "ECDSA",
            Self::Ed25519 => "ED25519",
        }
    }
}

/// A private key, its public part, and the certificate that goes with it, if any. Cheap to clone.
#[derive(Clone)]
pub struct KeyPair {
    private: Arc<PrivateKey>,
    certificate: Option<Arc<Certificate>>,
    public_line: String,
    private_text: Sensitive<String>,
}

impl KeyPair {
    /// Makes one. An RSA key takes seconds of computing: call it where that harms nobody.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(kind: KeyKind, comment: &str) -> Result<Self, KeyError> {
        let mut rng = russh::keys::key::safe_rng();
        let ecdsa = |curve, rng: &mut _| EcdsaKeypair::random(rng, curve).map(PrivateKey::from);
        let key = match kind {
            KeyKind::Rsa(bits) => RsaKeypair::random(&mut rng, bits as usize).map(PrivateKey::from),
            KeyKind::EcdsaP256 => ecdsa(EcdsaCurve::NistP256, &mut rng),
            KeyKind::EcdsaP384 => ecdsa(EcdsaCurve::NistP384, &mut rng),
            KeyKind::EcdsaP521 => ecdsa(EcdsaCurve::NistP521, &mut rng),
            KeyKind::Ed25519 => Ok(Ed25519Keypair::random(&mut rng).into()),
        };
        let mut key = key.map_err(KeyError::Making)?;
        key.set_comment(comment);
        let text = encode(&key)?;
        Self::new(key, text)
    }

    /// Reads a private key from text, in any usual form.
    ///
    /// # Errors
    /// When it has a passphrase or isn't a key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let encrypted =
            text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
        if encrypted {
            return Err(KeyError::Encrypted);
        }
        if text.contains("BEGIN DSA PRIVATE KEY") {
            return Err(KeyError::Dsa);
        }
        let mut key = decode_secret_key(text, None).map_err(|e| match e {
            russh::keys::Error::KeyIsEncrypted => KeyError::Encrypted,
            other => KeyError::Malformed(Box::new(other)),
        })?;
        if key.algorithm() == Algorithm::Dsa {
            return Err(KeyError::Dsa);
        }
        key.set_comment("");
        Self::new(key, text.to_owned())
    }

    /// Reads a private key, and its certificate if one is named.
    ///
    /// # Errors
    /// When a file can't be read or isn't what it should be; when the certificate isn't valid now.
    pub fn from_files(key: &Path, certificate: Option<&Path>) -> Result<Self, KeyError> {
        let mut pair = Self::from_text(&read(key)?)?;
        if let Some(path) = certificate {
            pair.certificate = Some(Arc::new(pair.check_certificate(&read(path)?)?));
        }
        Ok(pair)
    }

    fn new(private: PrivateKey, private_text: String) -> Result<Self, KeyError> {
        let line = private.public_key().to_openssh().map_err(KeyError::Making)?;
        Ok(Self {
            private: Arc::new(private),
            certificate: None,
            public_line: format!("{}\n", line.trim_end()),
            private_text: Sensitive::new(private_text),
        })
    }

    fn check_certificate(&self, text: &str) -> Result<Certificate, KeyError> {
        let certificate = Certificate::from_openssh(text).map_err(KeyError::MalformedCertificate)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let wrong = if certificate.cert_type() != CertType::User {
            "is a host certificate; a user certificate is needed"
        } else if certificate.public_key() != self.private.public_key().key_data() {
            "belongs to another private key"
        } else if now < certificate.valid_after() {
            "is not yet valid"
        } else if now >= certificate.valid_before() {
            "has expired"
        } else {
            return Ok(certificate);
        };
        Err(KeyError::Certificate(wrong.to_owned()))
    }

    /// The private key itself.
    pub fn private(&self) -> &Arc<PrivateKey> {
        &self.private
    }

    /// The certificate that goes with it.
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// The line for `authorized_keys`, with its line ending, as `{{ .SSHPublicKey }}` gives it.
    pub fn public_line(&self) -> &str {
        &self.public_line
    }

    /// The private key as text: as its file has it, otherwise PKCS#8 for RSA and ECDSA, OpenSSH for Ed25519.
    pub const fn private_text(&self) -> &Sensitive<String> {
        &self.private_text
    }

    /// Writes the private key to a new file that only its owner may read, for programs that want a file.
    ///
    /// # Errors
    /// When the file exists already or can't be written.
    pub fn write_private(&self, path: &Path) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let text = self.private_text.reveal();
        file.write_all(text.as_bytes())?;
        if text.ends_with('\n') { Ok(()) } else { file.write_all(b"\n") }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public_line.trim_end())
    }
}

fn read(path: &Path) -> Result<String, KeyError> {
    fs::read_to_string(path).map_err(|source| KeyError::Unreadable { path: path.to_owned(), source })
}

fn encode(key: &PrivateKey) -> Result<String, KeyError> {
    if key.algorithm() == Algorithm::Ed25519 {
        return key.to_openssh(LineEnding::LF).map(|text| text.to_string()).map_err(KeyError::Making);
    }
    let mut pem = Vec::new();
    encode_pkcs8_pem(key, &mut pem).map_err(|e| KeyError::Encoding(Box::new(e)))?;
    // The encoder breaks lines in the manner of mail.
    Ok(String::from_utf8_lossy(&pem).replace("\r\n", "\n").replace("\n\n", "\n"))
}

/// The step that gets the key pair for a guest ready: the template's own, or a temporary one. Like Packer's it
/// makes one even for a login by password, since templates ask for `{{ .SSHPublicKey }}` at any rate.
#[derive(Clone, Debug)]
pub struct MakeKeys {
    /// Says which.
    pub config: SshConfig,
}

#[async_trait]
impl Step for MakeKeys {
    type Output = KeyPair;

    fn name(&self) -> &'static str {
        "make the key pair"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<KeyPair>, Failure> {
        if let Some(pair) = &self.config.login.key {
            cx.reporter.say("Using existing SSH private key");
            return Ok(Done::plain(pair.clone()));
        }
        let kind = self.config.temporary_key.kind;
        let comment = self.config.temporary_key.name.clone();
        cx.reporter.say(format!("Creating temporary {} SSH key for instance...", kind.noun()));
        let made = tokio::task::spawn_blocking(move || KeyPair::generate(kind, &comment));
        let failed = |e: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::Machine, e);
        match made.await {
            Ok(pair) => pair.map(Done::plain).map_err(|e| failed(&e)),
            Err(e) => Err(failed(&e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_a_size_are_checked_together() {
        let cases = [
            ("", 0, Ok(KeyKind::EcdsaP256)),
            ("", 2048, Ok(KeyKind::Rsa(2048))),
            ("RSA", 0, Ok(KeyKind::Rsa(4096))),
            ("rsa", 512, Err("512 is no size for rsa keys; write a number from 1024 to 16384")),
            ("ecdsa", 0, Ok(KeyKind::EcdsaP521)),
            ("ECDSA", 384, Ok(KeyKind::EcdsaP384)),
            ("ecdsa", 255, Err("255 is no size for ecdsa keys; write 256, 384 or 521")),
            ("Ed25519", 4096, Ok(KeyKind::Ed25519)),
            ("x", 0, Err("\"x\" is no kind of key; write ecdsa, ed25519 or rsa")),
        ];
        for (kind, bits, expected) in cases {
            let got = KeyKind::asked_for(kind, bits).map_err(|e| e.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{kind} {bits}");
        }
        assert!(matches!(KeyKind::asked_for("dsa", 0), Err(KeyError::Dsa)));
    }

    #[test]
    fn every_kind_survives_its_own_text() {
        let kinds = [
            (KeyKind::Rsa(1024), "ssh-rsa ", "-----BEGIN PRIVATE KEY-----"),
            (KeyKind::EcdsaP256, "ecdsa-sha2-nistp256 ", "-----BEGIN PRIVATE KEY-----"),
            (KeyKind::EcdsaP384, "ecdsa-sha2-nistp384 ", "-----BEGIN PRIVATE KEY-----"),
            (KeyKind::EcdsaP521, "ecdsa-sha2-nistp521 ", "-----BEGIN PRIVATE KEY-----"),
            (KeyKind::Ed25519, "ssh-ed25519 ", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ];
        for (kind, public, private) in kinds {
            let pair = KeyPair::generate(kind, "").unwrap();
            assert!(pair.public_line().starts_with(public), "{}", pair.public_line());
            assert_eq!(pair.public_line().matches(' ').count(), 1, "no comment: {}", pair.public_line());
            assert!(pair.public_line().ends_with('\n'));
            let text = pair.private_text().reveal();
            assert!(text.starts_with(private) && !text.contains('\r') && !text.contains("\n\n"), "{kind:?}");
            let again = KeyPair::from_text(text).unwrap();
            assert_eq!(again.public_line(), pair.public_line());
        }
    }

    #[test]
    fn a_name_becomes_the_comment_of_the_public_line() {
        let pair = KeyPair::generate(KeyKind::Ed25519, "kiln_1").unwrap();
        assert!(pair.public_line().ends_with(" kiln_1\n"));
    }

    #[test]
    fn nothing_of_the_private_key_shows_in_debug() {
        let pair = KeyPair::generate(KeyKind::Ed25519, "").unwrap();
        assert!(!format!("{pair:?}").contains("PRIVATE"));
        assert!(format!("{pair:?}").contains("ssh-ed25519"));
    }

    #[test]
    fn a_written_key_is_for_its_owner_alone_and_openssh_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        for (i, kind) in [KeyKind::Rsa(2048), KeyKind::EcdsaP256, KeyKind::Ed25519].into_iter().enumerate() {
            let path = dir.path().join(i.to_string());
            let pair = KeyPair::generate(kind, "").unwrap();
            pair.write_private(&path).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
            let shown =
                std::process::Command::new("ssh-keygen").arg("-yf").arg(&path).output().expect("ssh-keygen");
            assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), pair.public_line().trim());
            assert!(pair.write_private(&path).is_err(), "an existing file is never replaced");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "secret", "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen is installed");
        assert!(made.success());
        assert!(matches!(KeyPair::from_files(&path, None), Err(KeyError::Encrypted)));
        assert!(matches!(KeyPair::from_text("hello"), Err(KeyError::Malformed(_))));
        assert!(matches!(
            KeyPair::from_files(&dir.path().join("none"), None),
            Err(KeyError::Unreadable { .. })
        ));
    }
}
