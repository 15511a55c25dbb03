//! Digests, passwords and UUIDs. `bcrypt` needs chance, so it is made with a source of it.

use md5::Md5;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use uuid::Uuid;

use super::argument::{Outcome, bounded, integer, number, string, text};
use super::encoding::decode_base64;
use super::{Function, FunctionError};
use crate::types::Type;
use crate::value::Value;

/// The cost of `bcrypt` when none, or one below the smallest, is given.
const DEFAULT_COST: i64 = 10;
const MIN_COST: i64 = 4;
/// The largest cost taken: some seconds of work. Each step doubles it.
const MAX_COST: i64 = 16;
/// Bcrypt looks no further than this, in bytes.
const MAX_PASSWORD: usize = 72;

pub(super) fn functions() -> Vec<Function> {
    vec![
        digest::<Md5>("md5"),
        digest::<Sha1>("sha1"),
        digest::<Sha256>("sha256"),
        digest::<Sha512>("sha512"),
        Function::new("rsadecrypt", [string("ciphertext"), string("privatekey")], Type::String, rsa_decrypt),
        Function::new("uuidv5", [string("namespace"), string("name")], Type::String, uuid_v5),
    ]
}

fn digest<D: Digest>(name: &'static str) -> Function {
    Function::new(name, [string("str")], Type::String, |args| {
        bounded(hex::encode(D::digest(text(args, 0)?.as_bytes())))
    })
}

/// `bcrypt(password[, cost])`, with salts from `salt`. The cost is 10 by default and at most 16.
pub fn bcrypt(salt: impl Fn() -> [u8; 16] + Send + Sync + 'static) -> Function {
    let body = move |args: &[Value]| -> Outcome {
        let password = text(args, 0)?;
        let cost = if args.len() > 1 { integer(args, 1)? } else { DEFAULT_COST };
        let cost = if cost < MIN_COST { DEFAULT_COST } else { cost };
        if cost > MAX_COST {
            let message = format!("cost {cost} is outside of the allowed range ({MIN_COST} to {MAX_COST})");
            return Err(FunctionError::argument(1, message));
        }
        if password.len() > MAX_PASSWORD {
            let message = format!("password length exceeds {MAX_PASSWORD} bytes");
            return Err(FunctionError::argument(0, message));
        }
        let cost = u32::try_from(cost).unwrap_or(MIN_COST as u32);
        let hash = bcrypt::hash_with_salt(password, cost, salt())
            .map_err(|e| FunctionError::new(format!("failed to hash the password: {e}")))?;
        bounded(hash.format_for_version(bcrypt::Version::TwoA))
    };
    let work = |args: &[Value]| {
        let cost = if args.len() > 1 { integer(args, 1).unwrap_or(MAX_COST) } else { DEFAULT_COST };
        25 << cost.clamp(MIN_COST, MAX_COST)
    };
    Function::new("bcrypt", [string("str"), number("cost")], Type::String, body).optional(1).costing(work)
}

/// PKCS #1 v1.5, with a private key in PEM that has no password.
fn rsa_decrypt(args: &[Value]) -> Outcome {
    let (ciphertext, pem) = (decode_base64(text(args, 0)?)?, text(args, 1)?);
    let key_error = |why: &str| FunctionError::argument(1, format!("failed to parse key: {why}"));
    if !pem.contains("-----BEGIN ") {
        return Err(key_error("no key found"));
    }
    if pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(key_error("password protected keys are not supported; decrypt the key prior to use"));
    }
    let key = RsaPrivateKey::from_pkcs1_pem(pem.trim())
        .map_err(|_| key_error("not an RSA key in PKCS #1 form (BEGIN RSA PRIVATE KEY)"))?;
    let plain = key
        .decrypt(Pkcs1v15Encrypt, &ciphertext)
        .map_err(|_| FunctionError::argument(0, "the ciphertext was not made for this key"))?;
    let not_text = |_| FunctionError::argument(0, "the decrypted data is not valid UTF-8");
    bounded(String::from_utf8(plain).map_err(not_text)?)
}

/// Namespaces are `dns`, `url`, `oid`, `x500` or a UUID.
fn uuid_v5(args: &[Value]) -> Outcome {
    let namespace = match text(args, 0)? {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::parse_str(other).map_err(|e| {
            FunctionError::argument(0, format!("uuidv5() doesn't support namespace {other} ({e})"))
        })?,
    };
    bounded(Uuid::new_v5(&namespace, text(args, 1)?.as_bytes()).to_string())
}
