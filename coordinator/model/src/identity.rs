//! Who may take part in the farm: its authority, the tokens that operators make, and who was turned away.
//!
//! ```text
//!   join token:    made ──► used (once, by one agent or coordinator) ─┐
//!                    │                                               ├──► forgotten after a week
//!                    ├────► expired ─────────────────────────────────┤
//!   any token:       └────► revoked ─────────────────────────────────┘
//!
//!   agent, coordinator:  joined ──► revoked: nothing that it says counts any more
//! ```
//!
//! No secret is here in the clear: of tokens only digests, of the authority's private key only what the farm key
//! seals, and the farm key is no part of the state.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, TokenId};
use serde::{Deserialize, Serialize};

pub mod laws;

use crate::time::Timestamp;

/// The most tokens that are kept at once. Beyond it, the one that ended first is forgotten for each new one.
pub const MOST_TOKENS: usize = 10_000;

/// How long what has ended is still remembered, in milliseconds: longer than any certificate of an agent lives, and
/// long enough for people to read what became of a token.
pub const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;

/// The number of the coordinator that founds a farm.
pub const FOUNDER: u64 = 1;

/// Everything about who may take part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    pub(crate) authority: Option<Authority>,
    pub(crate) tokens: BTreeMap<TokenId, TokenRecord>,
    pub(crate) revoked_agents: BTreeMap<AgentId, Timestamp>,
    pub(crate) revoked_coordinators: BTreeMap<u64, Timestamp>,
    /// The highest number that was given to a coordinator; none is given twice.
    pub(crate) last_coordinator: u64,
    /// Grows whenever somebody who was believed no longer is, so that streams know when to look again.
    pub(crate) revocations: u64,
}

/// The farm's certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its certificate, as PEM.
    pub certificate: String,
    /// Its private key, sealed with the farm key, as base64.
    pub sealed_key: String,
}

/// A token as the farm knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its identifier.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// The digest of its secret.
    pub secret: Fingerprint,
    /// What it is good for.
    pub usage: TokenUse,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends by itself; client tokens may last.
    pub expires: Option<Timestamp>,
    /// How it ended otherwise.
    pub end: Option<TokenEnd>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Its new identifier.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// The digest of its secret.
    pub secret: Fingerprint,
    /// What it is good for.
    pub usage: TokenUse,
    /// When it ends by itself. A join token always does.
    pub expires: Option<Timestamp>,
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenUse {
    /// One agent may enrol.
    JoinAgent,
    /// One coordinator may join.
    JoinCoordinator,
    /// A person or their tool may ask the farm for things.
    Client {
        /// How much.
        role: Role,
        /// Where.
        projects: Projects,
    },
}

/// How a token ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenEnd {
    /// It was used, as join tokens are once.
    Used {
        /// When.
        at: Timestamp,
        /// By whom.
        by: Joined,
        /// The digest of the public key that was certified.
        key: Fingerprint,
    },
    /// An operator revoked it.
    Revoked {
        /// When.
        at: Timestamp,
    },
}

/// What a person may do. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Look.
    Viewer,
    /// Build, and end builds.
    Builder,
    /// Everything: agents, coordinators, tokens, images of others.
    Operator,
}

/// Where a person may do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projects {
    /// In every project, and with what belongs to none.
    All,
    /// In these.
    Named(BTreeSet<String>),
}

/// Who wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Newcomer {
    /// An agent, with the identifier that it would get.
    Agent(AgentId),
    /// A coordinator; the farm numbers it.
    Coordinator,
}

/// Who has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joined {
    /// An agent.
    Agent(AgentId),
    /// A coordinator, by its number.
    Coordinator(u64),
}

/// What can be asked about who may take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityAction {
    /// Begin a farm with an authority of its own.
    FoundFarm {
        /// The authority.
        authority: Authority,
    },
    /// Keep the authority's key under another farm key.
    ResealAuthority {
        /// The same key, sealed anew, as base64.
        sealed_key: String,
    },
    /// Make a token.
    CreateToken {
        /// Which.
        token: NewToken,
    },
    /// End a token.
    RevokeToken {
        /// Which.
        token: TokenId,
    },
    /// Let somebody join by a token, which is good for that once.
    UseJoinToken {
        /// Which.
        token: TokenId,
        /// The digest of the secret that was shown.
        secret: Fingerprint,
        /// The digest of the public key to be certified.
        key: Fingerprint,
        /// Who wants to join.
        newcomer: Newcomer,
    },
    /// Turn an agent away.
    RevokeAgent {
        /// Which.
        agent: AgentId,
    },
    /// Turn a coordinator away. Its vote is taken from it elsewhere.
    RevokeCoordinator {
        /// Its number.
        coordinator: u64,
    },
    /// Forget what ended long ago.
    Forget,
}

/// Why something about who may take part was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum IdentityRefusal {
    /// A farm is founded once.
    #[error("the farm was founded before and has its authority")]
    AlreadyFounded,
    /// There is no authority.
    #[error("the farm has no authority yet; found it with `kiln coordinator init`")]
    NotFounded,
    /// No such token, or another secret.
    #[error("the token is not one of this farm, or was forgotten; ask an operator for another")]
    NotOurs,
    /// The identifier is taken.
    #[error("token {0} was made before")]
    DuplicateToken(TokenId),
    /// There are as many as may be, and all of them can still be used.
    #[error("the farm has {MOST_TOKENS} tokens that can still be used, the most that it keeps; revoke some")]
    TooManyTokens,
    /// A join token that would last for ever.
    #[error("a token for joining must have an end")]
    Endless,
    /// It is good for something else.
    #[error("the token is not one for {0}")]
    OtherUse(String),
    /// It came too late.
    #[error("the token has expired; ask an operator for another")]
    Expired,
    /// It was used.
    #[error("the token was used before and is good only once; ask an operator for another")]
    Used,
    /// It was revoked.
    #[error("the token was revoked by an operator")]
    TokenRevoked,
    /// It was turned away.
    #[error("agent {0} was revoked by an operator; it may enrol anew with another token")]
    AgentRevoked(AgentId),
    /// It was turned away.
    #[error("coordinator {0} was revoked by an operator")]
    CoordinatorRevoked(u64),
    /// Nobody has that number.
    #[error("there is no coordinator {0}")]
    UnknownCoordinator(u64),
}

impl Identities {
    /// The authority, once the farm was founded.
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// All tokens that are remembered.
    pub const fn tokens(&self) -> &BTreeMap<TokenId, TokenRecord> {
        &self.tokens
    }

    /// Grows whenever somebody who was believed no longer is.
    pub const fn revocations(&self) -> u64 {
        self.revocations
    }

    /// Whether an agent was turned away.
    pub fn is_agent_revoked(&self, agent: AgentId) -> bool {
        self.revoked_agents.contains_key(&agent)
    }

    /// Whether a coordinator was turned away.
    pub fn is_coordinator_revoked(&self, coordinator: u64) -> bool {
        self.revoked_coordinators.contains_key(&coordinator)
    }

    /// The token with this secret, if it is good now.
    ///
    /// # Errors
    /// Why it isn't.
    pub fn good_token(
        &self,
        id: TokenId,
        secret: Fingerprint,
        now: Timestamp,
    ) -> Result<&TokenRecord, IdentityRefusal> {
        let token = self.tokens.get(&id).filter(|token| token.secret == secret);
        let token = token.ok_or(IdentityRefusal::NotOurs)?;
        token.is_good(now).map(|()| token)
    }

    /// Whether there is something to forget.
    pub fn has_forgettable(&self, now: Timestamp) -> bool {
        self.tokens.values().any(|token| token.is_forgettable(now))
            || self.revoked_agents.values().any(|at| now.ms_since(*at) >= REMEMBERED_MS)
    }
}

impl TokenRecord {
    /// Whether it can still be used.
    ///
    /// # Errors
    /// Why it can't.
    pub fn is_good(&self, now: Timestamp) -> Result<(), IdentityRefusal> {
        match &self.end {
            Some(TokenEnd::Revoked { .. }) => Err(IdentityRefusal::TokenRevoked),
            Some(TokenEnd::Used { .. }) => Err(IdentityRefusal::Used),
            None if self.expires.is_some_and(|end| end <= now) => Err(IdentityRefusal::Expired),
            None => Ok(()),
        }
    }

    /// When it ended; `None` while it can still be used.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        let ended = match &self.end {
            Some(TokenEnd::Used { at, .. } | TokenEnd::Revoked { at }) => Some(*at),
            None => self.expires,
        };
        ended.filter(|at| *at <= now)
    }

    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        self.ended(now).is_some_and(|at| now.ms_since(at) >= REMEMBERED_MS)
    }
}

impl TokenUse {
    /// Whom it is for, in one word.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::JoinAgent => "agent",
            Self::JoinCoordinator => "coordinator",
            Self::Client { role, .. } => role.word(),
        }
    }
}

impl Role {
    /// As people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Builder => "builder",
            Self::Operator => "operator",
        }
    }
}

impl Projects {
    /// Whether a project is among them.
    pub fn include(&self, project: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(project),
        }
    }
}
