//! Tokens as people hold them: one string that says what it is for, proves that it was made by the farm, and
//! names the farm's authority, so that a newcomer needs nothing else to be sure whom it talks to.
//!
//! ```text
//!   kiln_agent_ or kiln_coordinator_ or kiln_client_   and base64url of
//!     16 bytes  identifier, not secret
//!     32 bytes  secret, random
//!     32 bytes  SHA-256 of the authority's certificate
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::TokenId;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::transport::Trust;

/// The bytes behind the prefix.
const BYTES: usize = 16 + 32 + 32;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// To enrol an agent.
    Agent,
    /// To join as a coordinator.
    Coordinator,
    /// For people and their tools.
    Client,
}

/// A token, secret included. It is shown only by [`Token::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    id: TokenId,
    secret: [u8; 32],
    authority: Fingerprint,
}

/// A text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It doesn't begin like one.
    #[error("a token begins with kiln_agent_, kiln_coordinator_ or kiln_client_")]
    Prefix,
    /// It is too short, too long, or has other characters.
    #[error("the token is not whole; copy all of it")]
    Damaged,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Agent, Self::Coordinator, Self::Client];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "kiln_agent_",
            Self::Coordinator => "kiln_coordinator_",
            Self::Client => "kiln_client_",
        }
    }
}

impl Token {
    /// A token with a secret of random bytes.
    pub const fn new(kind: TokenKind, id: TokenId, secret: [u8; 32], authority: Fingerprint) -> Self {
        Self { kind, id, secret, authority }
    }

    /// What it is for.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Its identifier, which is not secret.
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// The digest of its secret, which is all that the farm keeps of it. The secret is random and long, so a
    /// plain digest is enough.
    pub fn digest(&self) -> Fingerprint {
        Fingerprint::of_bytes(&self.secret)
    }

    /// The only authority that whoever has this token believes.
    pub const fn trust(&self) -> Trust {
        Trust::Pinned(self.authority)
    }

    /// The whole text.
    pub fn reveal(&self) -> String {
        let parts = [self.id.0.as_bytes().as_slice(), &self.secret, self.authority.digest()];
        format!("{}{}", self.kind.prefix(), URL_SAFE_NO_PAD.encode(parts.concat()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let kinds = TokenKind::ALL.into_iter();
        let found = kinds.filter_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?))).next();
        let (kind, rest) = found.ok_or(TokenError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| TokenError::Damaged)?;
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| TokenError::Damaged)?;
        let (id, rest) = bytes.split_at(16);
        let (secret, authority) = rest.split_at(32);
        let id = id.try_into().map(u128::from_be_bytes).map_err(|_| TokenError::Damaged)?;
        Ok(Self {
            kind,
            id: TokenId::new(uuid::Uuid::from_u128(id)),
            secret: secret.try_into().map_err(|_| TokenError::Damaged)?,
            authority: Fingerprint::from_digest(authority.try_into().map_err(|_| TokenError::Damaged)?),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Shows a token with every request of a client, or none.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// Shows this token.
    pub fn of(token: &Token) -> Self {
        let header = format!("Bearer {}", token.reveal());
        let mut value: MetadataValue<Ascii> = header.parse().expect("base64url is ASCII");
        value.set_sensitive(true);
        Self(Some(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kind: TokenKind) -> Token {
        let id = TokenId::new("0192f0c1-0000-7000-8000-000000000001".parse().unwrap());
        Token::new(kind, id, [7; 32], Fingerprint::of_bytes(b"authority"))
    }

    #[test]
    fn a_token_survives_being_written_down() {
        for kind in TokenKind::ALL {
            let text = token(kind).reveal();
            assert_eq!(format!(" {text}\n").parse(), Ok(token(kind)));
            assert!(text.starts_with(kind.prefix()) && text.len() < 140, "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_from_what_is_not_whole() {
        let whole = token(TokenKind::Agent).reveal();
        let table = [
            ("", TokenError::Prefix),
            ("kiln_person_AAAA", TokenError::Prefix),
            (&whole[..whole.len() - 3], TokenError::Damaged),
            ("kiln_agent_", TokenError::Damaged),
            (&format!("{whole}AAAA"), TokenError::Damaged),
            (&whole.replace("kiln_agent_", "kiln_agent_!"), TokenError::Damaged),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Token>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_told_by_accident() {
        let token = token(TokenKind::Client);
        let secret = token.reveal();
        let told = format!("{token:?} {:?}", Bearer::of(&token));
        assert!(!told.contains(&secret[20..60]) && !told.contains("7, 7"), "{told}");
    }
}
