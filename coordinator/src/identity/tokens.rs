//! Making tokens, and telling what became of them.

use std::collections::BTreeSet;

use kiln_model::{Joined, NewToken, Projects, Timestamp, TokenEnd, TokenRecord, TokenUse};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::TokenId;
use kiln_proto::token::{Token, TokenKind};
use kiln_proto::{Code, Problem};
use uuid::Uuid;

use super::farm_key::{FarmKeyError, random};

/// How long a join token is good when nothing is said, in milliseconds.
pub(crate) const JOIN_LIFE_MS: u64 = 3_600_000;

/// The longest that a join token may be good, in milliseconds.
pub(crate) const LONGEST_JOIN_LIFE_MS: u64 = 7 * 24 * 3_600_000;

/// The most characters of a token's or a project's name.
const NAME: usize = 100;

/// A new token, and what the ledger shall keep of it.
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn make(
    name: &str,
    usage: TokenUse,
    expires: Option<Timestamp>,
    authority: Fingerprint,
) -> Result<(Token, NewToken), FarmKeyError> {
    let kind = match usage {
        TokenUse::JoinAgent => TokenKind::Agent,
        TokenUse::JoinCoordinator => TokenKind::Coordinator,
        TokenUse::Client { .. } => TokenKind::Client,
    };
    let id = TokenId::new(Uuid::now_v7());
    let token = Token::new(kind, id, random()?, authority);
    let new = NewToken { id, name: name.to_owned(), secret: token.digest(), usage, expires };
    Ok((token, new))
}

/// Checks what an operator asked for, and says when the token ends.
///
/// # Errors
/// When a name is empty, too long or has odd characters, or the time is out of range.
pub(crate) fn check(
    name: &str,
    usage: &TokenUse,
    valid_ms: Option<u64>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Problem> {
    let invalid = |told: String| Err(Problem::new(Code::Invalid, told));
    if name.trim().is_empty() || name.len() > NAME || name.chars().any(char::is_control) {
        return invalid(format!("a token needs a name of 1 to {NAME} printable characters"));
    }
    if let TokenUse::Client { projects: Projects::Named(projects), .. } = usage {
        check_projects(projects)?;
    }
    let client = matches!(usage, TokenUse::Client { .. });
    match valid_ms {
        Some(0) => invalid("a token must be good for some time".into()),
        Some(ms) if !client && ms > LONGEST_JOIN_LIFE_MS => {
            invalid("a token for joining may be good for at most 7 days".into())
        }
        Some(ms) => Ok(Some(now.plus_ms(ms))),
        None if client => Ok(None),
        None => Ok(Some(now.plus_ms(JOIN_LIFE_MS))),
    }
}

fn check_projects(projects: &BTreeSet<String>) -> Result<(), Problem> {
    let fine = |name: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !name.is_empty() && name.len() <= NAME && name.chars().all(plain)
    };
    match projects.iter().find(|name| !fine(name)) {
        Some(name) => Err(Problem::new(
            Code::Invalid,
            format!("{name:?} is no name of a project: letters, digits, dot, dash and underscore are"),
        )),
        None => Ok(()),
    }
}

/// What became of a token, for people.
pub(crate) fn state(token: &TokenRecord, now: Timestamp) -> String {
    match &token.end {
        Some(TokenEnd::Revoked { .. }) => "revoked".into(),
        Some(TokenEnd::Used { by: Joined::Agent(agent), .. }) => format!("used by agent {agent}"),
        Some(TokenEnd::Used { by: Joined::Coordinator(number), .. }) => {
            format!("used by coordinator {number}")
        }
        None if token.expires.is_some_and(|end| end <= now) => "expired".into(),
        None => "good".into(),
    }
}
