//! What a file must hash to, in the forms that `iso_checksum` takes.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};

/// What a file must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Anything: it isn't verified.
    None,
    /// This.
    Sum(Sum),
    /// What the sums file at this URL or path lists for it.
    File(String),
}

/// A kind of digest and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Which digest.
    pub kind: SumKind,
    /// Its value in hexadecimal, as written.
    pub hex: String,
}

/// The digests that templates may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumKind {
    /// 32 hexadecimal digits.
    Md5,
    /// 40 digits.
    Sha1,
    /// 64 digits.
    Sha256,
    /// 128 digits.
    Sha512,
}

/// Why a checksum can't be used, or a file isn't the right one.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    /// Nothing was given.
    #[error("a checksum must be specified; write \"none\" to go without")]
    Missing,
    /// The path of an ISO was given.
    #[error("the checksum {0:?} is the name of an ISO; to read it from a sums file write \"file:…\"")]
    IsIso(String),
    /// Neither a known kind nor a known length.
    #[error("unsupported checksum type in {0:?}; use md5, sha1, sha256, sha512 or file")]
    Unsupported(String),
    /// Not hexadecimal, or not as long as its kind wants.
    #[error("{text:?} is not a {kind} checksum of {} hexadecimal digits", kind.digits())]
    Malformed {
        /// The kind.
        kind: SumKind,
        /// What was given.
        text: String,
    },
    /// The sums file doesn't know the file.
    #[error("the sums file {file:?} lists no checksum for {name:?}")]
    NotListed {
        /// The sums file.
        file: String,
        /// The path of the wanted file.
        name: String,
    },
    /// The file is another one.
    #[error("the {kind} checksum is {found}, but {wanted} was expected")]
    Mismatch {
        /// The kind.
        kind: SumKind,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The file can't be read.
    #[error("cannot read {} to verify it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SumKind {
    const ALL: [SumKind; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// Its name in checksums.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits it has.
    pub const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for SumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Sum {
    /// `sha256:…`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.hex)
    }
}

impl Checksum {
    /// Reads `none`, bare hexadecimal, `sha256:…` and its kin, or `file:…`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        match text.trim() {
            "" => Err(ChecksumError::Missing),
            "none" => Ok(Self::None),
            text => match text.split_once(':') {
                Some(("file", file)) if !file.is_empty() => Ok(Self::File(file.to_owned())),
                _ if text.to_ascii_lowercase().ends_with(".iso") => {
                    Err(ChecksumError::IsIso(text.to_owned()))
                }
                Some((kind, hex)) => Sum::new(kind, hex).map(Self::Sum),
                None => Sum::of_length(text)
                    .map(Self::Sum)
                    .ok_or_else(|| ChecksumError::Unsupported(text.to_owned())),
            },
        }
    }
}

impl Sum {
    fn new(kind: &str, hex: &str) -> Result<Self, ChecksumError> {
        let kind = SumKind::ALL
            .into_iter()
            .find(|k| k.name().eq_ignore_ascii_case(kind))
            .ok_or_else(|| ChecksumError::Unsupported(format!("{kind}:{hex}")))?;
        if hex.len() != kind.digits() || !is_hex(hex) {
            return Err(ChecksumError::Malformed { kind, text: hex.to_owned() });
        }
        Ok(Self { kind, hex: hex.to_owned() })
    }

    /// The sum of the kind that has as many digits.
    pub fn of_length(hex: &str) -> Option<Self> {
        let kind = SumKind::ALL.into_iter().find(|k| k.digits() == hex.len())?;
        is_hex(hex).then(|| Self { kind, hex: hex.to_owned() })
    }

    /// Reads the whole file and compares.
    ///
    /// # Errors
    /// When the file can't be read or is another one.
    pub async fn verify(&self, path: &Path) -> Result<(), ChecksumError> {
        let Self { kind, hex: found } = Self::of(self.kind, path).await?;
        match found.eq_ignore_ascii_case(&self.hex) {
            true => Ok(()),
            false => Err(ChecksumError::Mismatch { kind, found, wanted: self.hex.clone() }),
        }
    }

    /// The sum that a file has. Reads all of it.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn of(kind: SumKind, path: &Path) -> Result<Self, ChecksumError> {
        let file = path.to_owned();
        let digest = tokio::task::spawn_blocking(move || digest(kind, &file)).await;
        let hex = digest.map_err(std::io::Error::other).flatten();
        let hex = hex.map_err(|source| ChecksumError::Read { path: path.to_owned(), source })?;
        Ok(Self { kind, hex })
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn digest(kind: SumKind, path: &Path) -> std::io::Result<String> {
    match kind {
        SumKind::Md5 => digest_with(Md5::new(), path),
        SumKind::Sha1 => digest_with(Sha1::new(), path),
        SumKind::Sha256 => digest_with(Sha256::new(), path),
        SumKind::Sha512 => digest_with(Sha512::new(), path),
    }
}

fn digest_with(mut digest: impl Digest, path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_checksum_is_read() {
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let cases = [
            ("none".to_owned(), "None"),
            (sha256.to_owned(), "sha256"),
            (format!("sha256:{sha256}"), "sha256"),
            (format!("SHA256:{}", sha256.to_uppercase()), "sha256"),
            ("d41d8cd98f00b204e9800998ecf8427e".to_owned(), "md5"),
            ("file:https://example.org/SHA256SUMS".to_owned(), "https://example.org/SHA256SUMS"),
            ("file:./sums".to_owned(), "./sums"),
        ];
        for (text, expected) in cases {
            let shown = match Checksum::parse(&text).expect(&text) {
                Checksum::None => "None".to_owned(),
                Checksum::Sum(sum) => sum.kind.to_string(),
                Checksum::File(file) => file,
            };
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_checksum_says_what_is_wrong() {
        let cases = [
            ("", "must be specified"),
            ("abc", "unsupported checksum type"),
            ("crc32:abcd", "unsupported checksum type"),
            ("md5:xyz", "not a md5 checksum of 32"),
            ("debian.iso", "name of an ISO"),
        ];
        for (text, expected) in cases {
            let error = Checksum::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
