//! What is offered in the key exchange. Old guests are systems under construction as well, hence SHA-1 stands at
//! the very end of the lists, as in Packer; nothing that is known to be broken does unless a template names it.

use std::borrow::Cow;

use kiln_lang::{Diagnostic, Diagnostics};
use russh::{Preferred, cipher, kex, mac};

/// The lists to offer, best first.
#[derive(Clone, Debug)]
pub struct Algorithms(Preferred);

const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_G14_SHA1,
];

/// Not key exchanges, but announced among them: they must stay whatever a template lists.
const KEX_EXTENSIONS: &[kex::Name] =
    &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA1,
];

impl Algorithms {
    /// The usual lists, with those replaced that a template gives. Names that Kiln doesn't know are passed over
    /// with a warning, since the list may still hold one that both sides know; an error when none is left.
    pub(super) fn new(ciphers: &[String], kex: &[String], found: &mut Diagnostics) -> Self {
        let known_cipher = |name: &str| cipher::Name::try_from(name).ok();
        let known_kex = |name: &str| kex::Name::try_from(name).ok();
        let ciphers = chosen("ssh_ciphers", ciphers, known_cipher, found);
        let mut kex =
            chosen("ssh_key_exchange_algorithms", kex, known_kex, found).unwrap_or_else(|| KEX.to_vec());
        kex.extend(KEX_EXTENSIONS);
        Self(Preferred {
            cipher: ciphers.map_or(Cow::Borrowed(CIPHERS), Cow::Owned),
            kex: Cow::Owned(kex),
            mac: Cow::Borrowed(MACS),
            ..Preferred::DEFAULT
        })
    }

    /// As the SSH library wants them.
    pub(crate) fn preferred(&self) -> Preferred {
        self.0.clone()
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Self::new(&[], &[], &mut Diagnostics::new())
    }
}

fn chosen<T>(
    option: &str,
    names: &[String],
    known: impl Fn(&str) -> Option<T>,
    found: &mut Diagnostics,
) -> Option<Vec<T>> {
    if names.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for name in names {
        match known(name).filter(|_| !matches!(name.as_str(), "none" | "clear")) {
            Some(algorithm) => list.push(algorithm),
            None => found.push(Diagnostic::warning(
                format!("{option}: {name:?} is not supported"),
                "The name is passed over.",
            )),
        }
    }
    if list.is_empty() {
        found.push(Diagnostic::error(
            format!("{option} names nothing that is supported"),
            "Leave the option out for a list that suits nearly every server.",
        ));
    }
    Some(list)
}
