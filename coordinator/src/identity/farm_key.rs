//! The farm key: 32 random bytes in a file at each coordinator, never in the state, that seal what lies at rest and is
//! secret. AES-256-GCM (NIST SP 800-38D) with a random nonce.
//!
//! ```text
//!   sealed:  format 1 (1) │ key id (8) │ nonce (12) │ ciphertext and tag
//!   file:    kiln-farm-key-1 BASE64      one line per key; the first seals, all of them open
//! ```
//!
//! What something is sealed for is part of it: a sealed plan can't be passed off as a sealed key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// The format that is written.
const FORMAT: u8 = 1;

/// The bytes of a key's identifier.
const KEY_ID: usize = 8;

const HEAD: usize = 1 + KEY_ID + NONCE_LEN;

/// How a line of the file begins.
const LINE: &str = "kiln-farm-key-1 ";

/// Seals and opens. Clones have the same keys.
#[derive(Clone)]
pub struct Sealer {
    /// At least one; the first seals.
    keys: Arc<[Key]>,
}

struct Key {
    id: [u8; KEY_ID],
    seal: LessSafeKey,
    derive: hmac::Key,
    bytes: [u8; 32],
}

/// The farm's keys could not be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum FarmKeyError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoChance,
    /// The file could not be read.
    #[error("failed to read the farm key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("the farm key {} can be read by others; make it private with chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// There is no key in it.
    #[error("line {line} of the farm key file is no key")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// There is none at all.
    #[error("the farm key file holds no key")]
    Empty,
}

/// Something sealed could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenSealedError {
    /// A later version wrote it, or nobody did.
    #[error("a sealed {what} has a format that this version doesn't know")]
    Format {
        /// What it should be.
        what: String,
    },
    /// Its key is not here.
    #[error("a sealed {what} needs the farm key {key}, which is not in this coordinator's file")]
    UnknownKey {
        /// What it should be.
        what: String,
        /// The key's identifier.
        key: String,
    },
    /// It was changed, or sealed for something else.
    #[error("a sealed {what} is damaged")]
    Damaged {
        /// What it should be.
        what: String,
    },
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
        let mut named = b"kiln farm key id".to_vec();
        named.extend_from_slice(&bytes);
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest::digest(&digest::SHA256, &named).as_ref()[..KEY_ID]);
        let seal = UnboundKey::new(&AES_256_GCM, &bytes).expect("AES-256 takes 32 bytes");
        let derive = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Self { id, seal: LessSafeKey::new(seal), derive, bytes }
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], FarmKeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| FarmKeyError::NoChance)?;
    Ok(bytes)
}

impl Sealer {
    /// With one new key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, FarmKeyError> {
        Ok(Self { keys: Arc::new([Key::new(random()?)]) })
    }

    /// Whether a key stands in a text, be the rest of it whatever it is.
    pub fn is_told_in(text: &str) -> bool {
        text.lines().any(|line| line.trim_start().starts_with(LINE))
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// When a line is no key, or there is none.
    pub fn parse(text: &str) -> Result<Self, FarmKeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = line.strip_prefix(LINE).and_then(|key| STANDARD.decode(key.trim()).ok());
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            keys.push(Key::new(bytes.ok_or(FarmKeyError::Line { line: index + 1 })?));
        }
        if keys.is_empty() { Err(FarmKeyError::Empty) } else { Ok(Self { keys: keys.into() }) }
    }

    /// From a file that nobody else can read.
    ///
    /// # Errors
    /// When it can't be read, others can read it, or it holds no key.
    pub fn load(path: &Path) -> Result<Self, FarmKeyError> {
        let failed = |source| FarmKeyError::Read { path: path.to_owned(), source };
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).map_err(failed)?);
            if mode & 0o077 != 0 {
                return Err(FarmKeyError::Exposed { path: path.to_owned() });
            }
        }
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
    }

    /// The text of a file with these keys.
    pub fn to_text(&self) -> String {
        let line = |key: &Key| format!("{LINE}{}\n", STANDARD.encode(key.bytes));
        self.keys.iter().map(line).collect()
    }

    /// The same keys behind a new one, which seals from then on. Give all coordinators the new key as a last
    /// line first, so that each can open what another seals.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn rotated(&self) -> Result<Self, FarmKeyError> {
        Self::parse(&format!("{}{}", Self::generate()?.to_text(), self.to_text()))
    }

    /// Seals something; `what` says what it is, as in `plan`.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, FarmKeyError> {
        let key = &self.keys[0];
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let aad = Aad::from(aad(&sealed[..=KEY_ID], what));
        let done = key.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body);
        done.expect("it is far shorter than what the cipher can take");
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed as `what`.
    ///
    /// # Errors
    /// When it is no such thing, its key is not here, or it was changed.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenSealedError> {
        let format = || OpenSealedError::Format { what: what.to_owned() };
        let (head, body) = sealed.split_at_checked(HEAD).ok_or_else(format)?;
        if head[0] != FORMAT {
            return Err(format());
        }
        let id = &head[1..=KEY_ID];
        let key = self.keys.iter().find(|key| key.id == id);
        let unknown = || OpenSealedError::UnknownKey { what: what.to_owned(), key: hex::encode(id) };
        let key = key.ok_or_else(unknown)?;
        let damaged = || OpenSealedError::Damaged { what: what.to_owned() };
        let nonce = Nonce::try_assume_unique_for_key(&head[1 + KEY_ID..]).map_err(|_| damaged())?;
        let mut body = body.to_vec();
        let aad = Aad::from(aad(&head[..=KEY_ID], what));
        let plain = key.seal.open_in_place(nonce, aad, &mut body).map_err(|_| damaged())?.len();
        body.truncate(plain);
        Ok(body)
    }

    /// Whether something was sealed with the key that seals now.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.len() > HEAD && sealed[0] == FORMAT && sealed[1..=KEY_ID] == self.keys[0].id
    }

    /// A secret for another use, the same at every coordinator while the first key is the same.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.keys[0].derive, format!("kiln derive {purpose}").as_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        secret
    }
}

fn aad(head: &[u8], what: &str) -> Vec<u8> {
    [head, what.as_bytes()].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.keys.iter().map(|key| hex::encode(key.id)).collect();
        f.debug_struct("Sealer").field("keys", &ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again_for_the_same_purpose_only() {
        let sealer = Sealer::generate().unwrap();
        let sealed = sealer.seal("plan", b"a password").unwrap();
        assert_eq!(sealer.open("plan", &sealed).unwrap(), b"a password");
        assert!(!sealed.windows(8).any(|part| part == b"password"));
        assert_ne!(sealer.seal("plan", b"a password").unwrap(), sealed, "each time another nonce");
        let damaged = |what: &str| OpenSealedError::Damaged { what: what.into() };
        assert_eq!(sealer.open("bundle", &sealed), Err(damaged("bundle")));
        for place in [10, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(sealer.open("plan", &changed), Err(damaged("plan")));
        }
        for short in [&sealed[..0], &sealed[..HEAD - 1], b"2 something else altogether, longer"] {
            assert_eq!(sealer.open("plan", short), Err(OpenSealedError::Format { what: "plan".into() }));
        }
        let other = Sealer::generate().unwrap().open("plan", &sealed).unwrap_err().to_string();
        assert!(other.starts_with("a sealed plan needs the farm key "), "{other}");
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let old = Sealer::generate().unwrap();
        let sealed = old.seal("plan", b"x").unwrap();
        let both = old.rotated().unwrap();
        assert_eq!(both.open("plan", &sealed).unwrap(), b"x");
        assert_eq!((old.is_current(&sealed), both.is_current(&sealed)), (true, false));
        let again = Sealer::parse(&both.to_text()).unwrap();
        assert_eq!(again.open("plan", &both.seal("plan", b"y").unwrap()).unwrap(), b"y");
        assert_eq!(again.derive("links"), both.derive("links"));
        assert_ne!(both.derive("links"), both.derive("other"));
        assert_ne!(both.derive("links"), old.derive("links"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("farm.key");
        std::fs::write(&path, Sealer::generate().unwrap().to_text()).unwrap();
        let mode = |mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
            Sealer::load(&path).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(mode(0o600), Ok(()));
        assert!(mode(0o640).unwrap_err().ends_with("make it private with chmod 600"));
        let table = [("", "holds no key"), ("# none\n", "holds no key"), ("\nkey\n", "line 2 of")];
        for (text, part) in table {
            let error = Sealer::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let debug = format!("{:?}", Sealer::generate().unwrap());
        assert!(debug.len() < 60, "{debug}");
    }
}
