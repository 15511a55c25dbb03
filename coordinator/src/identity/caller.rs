//! Who makes a request, as far as the farm believes it.
//!
//! ```text
//!   over the pipe                        ─► InProcess
//!   certificate of an agent              ─► Agent            unless revoked
//!   certificate of a coordinator         ─► Coordinator      unless revoked; what it passes on: whom it names
//!   no certificate, `Bearer kiln_client_…` ─► Person         if the token is good
//!   anything else                        ─► Nobody
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use kiln_model::{FarmState, IdentityRefusal, Projects, Role, Timestamp, TokenRecord, TokenUse};
use kiln_plan::id::{AgentId, TokenId};
use kiln_proto::peer::CALLER_HEADER;
use kiln_proto::token::{Token, TokenKind};
use kiln_proto::transport::{Arrival, Peer};
use kiln_proto::{Code, Problem};
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

use super::rights::Need;
use crate::Coordinator;

/// Who makes a request. In the extensions of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever started this coordinator within its own process.
    InProcess,
    /// Another coordinator, speaking for itself.
    Coordinator(u64),
    /// An agent.
    Agent(AgentId),
    /// Somebody with a client token.
    Person {
        /// Which token.
        token: TokenId,
        /// What it is called.
        name: String,
        /// How much they may do.
        role: Role,
        /// Where.
        projects: Projects,
    },
    /// Somebody who shows nothing, or nothing that is believed.
    Nobody,
}

/// A request's caller with what belongs to it. Also in the extensions of each.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) caller: Caller,
    /// Why what was shown was not believed.
    pub(crate) unbelieved: Option<Problem>,
    /// From where.
    pub(crate) from: Option<SocketAddr>,
    /// When what was shown ends.
    pub(crate) expires: Option<Timestamp>,
}

/// Tells callers apart. Clones are the same.
#[derive(Clone, Debug)]
pub struct Gatekeeper(pub(crate) Arc<Coordinator>);

impl Caller {
    /// Who made a request: what the gatekeeper put into its extensions.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get::<Identified>().map_or(Self::Nobody, |known| known.caller.clone())
    }

    /// What a person's token is called.
    pub fn person(&self) -> Option<&str> {
        match self {
            Self::Person { name, .. } => Some(name),
            _ => None,
        }
    }

    /// As one coordinator tells it to another, which asks the token again.
    pub fn to_header(&self) -> String {
        match self {
            Self::InProcess => "in-process".into(),
            Self::Coordinator(number) => format!("coordinator/{number}"),
            Self::Agent(agent) => format!("agent/{agent}"),
            Self::Person { token, .. } => format!("person/{token}"),
            Self::Nobody => "nobody".into(),
        }
    }

    /// Whom another coordinator names, as far as this one believes it too.
    ///
    /// # Errors
    /// Why the one who is named is not believed any more.
    pub fn from_header(text: &str, farm: &FarmState, now: Timestamp) -> Result<Self, Problem> {
        let odd = || Problem::new(Code::Invalid, "a coordinator passed a request on for nobody that can be");
        match text.split_once('/') {
            None if text == "in-process" => Ok(Self::InProcess),
            None if text == "nobody" => Ok(Self::Nobody),
            Some(("coordinator", number)) => {
                of_peer(Peer::Coordinator(number.parse().map_err(|_| odd())?), farm)
            }
            Some(("agent", agent)) => of_peer(Peer::Agent(agent.parse().map_err(|_| odd())?), farm),
            Some(("person", token)) => {
                let token = farm.identities().tokens().get(&token.parse().map_err(|_| odd())?);
                let token = token.ok_or_else(|| unbelieved(&IdentityRefusal::NotOurs))?;
                token.is_good(now).map_err(|refusal| unbelieved(&refusal))?;
                of_token(token)
            }
            _ => Err(odd()),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("this process"),
            Self::Coordinator(number) => write!(f, "coordinator {number}"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Person { name, role, projects, token: _ } => {
                write!(f, "{name} ({} in ", role.word())?;
                match projects {
                    Projects::All => f.write_str("all projects)"),
                    Projects::Named(names) => {
                        write!(f, "{})", names.iter().cloned().collect::<Vec<_>>().join(", "))
                    }
                }
            }
            Self::Nobody => f.write_str("somebody unknown"),
        }
    }
}

fn unbelieved(refusal: &IdentityRefusal) -> Problem {
    Problem::from_error(Code::Unidentified, refusal)
}

fn of_peer(peer: Peer, farm: &FarmState) -> Result<Caller, Problem> {
    match peer {
        Peer::InProcess => Ok(Caller::InProcess),
        Peer::Coordinator(number) if farm.identities().is_coordinator_revoked(number) => {
            Err(unbelieved(&IdentityRefusal::CoordinatorRevoked(number)))
        }
        Peer::Coordinator(number) => Ok(Caller::Coordinator(number)),
        Peer::Agent(agent) if farm.identities().is_agent_revoked(agent) => {
            Err(unbelieved(&IdentityRefusal::AgentRevoked(agent)))
        }
        Peer::Agent(agent) => Ok(Caller::Agent(agent)),
        Peer::Unidentified => Ok(Caller::Nobody),
    }
}

fn of_token(record: &TokenRecord) -> Result<Caller, Problem> {
    match &record.usage {
        TokenUse::Client { role, projects } => Ok(Caller::Person {
            token: record.id,
            name: record.name.clone(),
            role: *role,
            projects: projects.clone(),
        }),
        TokenUse::JoinAgent | TokenUse::JoinCoordinator => {
            Err(unbelieved(&IdentityRefusal::OtherUse("people".into())))
        }
    }
}

/// Who shows a token, and when it ends.
fn of_bearer(
    headers: &HeaderMap,
    farm: &FarmState,
    now: Timestamp,
) -> Option<Result<(Caller, Option<Timestamp>), Problem>> {
    let shown = headers.get(AUTHORIZATION)?;
    let odd = |told: &str| Problem::new(Code::Unidentified, told.to_owned());
    let read = || {
        let text = shown.to_str().ok().and_then(|text| text.split_once(' '));
        let (_, text) = text
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or_else(|| odd("the authorization header must be `Bearer TOKEN`"))?;
        let token: Token = text.parse().map_err(|error| Problem::from_error(Code::Unidentified, &error))?;
        if token.kind() != TokenKind::Client {
            return Err(unbelieved(&IdentityRefusal::OtherUse("people".into())));
        }
        let record = farm.identities().good_token(token.id(), token.digest(), now);
        let record = record.map_err(|refusal| unbelieved(&refusal))?;
        Ok((of_token(record)?, record.expires))
    };
    Some(read())
}

impl Gatekeeper {
    /// Who makes a request, by its connection and its headers.
    pub(crate) fn identify(&self, arrival: Option<&Arrival>, headers: &HeaderMap) -> Identified {
        let Some(arrival) = arrival else { return Identified::nobody(None, None) };
        if arrival.peer == Peer::InProcess {
            return Identified { caller: Caller::InProcess, ..Identified::nobody(None, None) };
        }
        let coordinator = &self.0;
        let now = coordinator.clock.now();
        let from = arrival.address;
        coordinator.ledger.read(|farm| {
            let direct = of_peer(arrival.peer, farm);
            let named = match (&direct, headers.get(CALLER_HEADER)) {
                (Ok(Caller::Coordinator(_)), Some(named)) => {
                    Caller::from_header(named.to_str().unwrap_or_default(), farm, now)
                }
                _ => direct,
            };
            match named {
                Ok(Caller::Nobody) => match of_bearer(headers, farm, now) {
                    Some(Ok((caller, expires))) => {
                        arrival.vouch();
                        Identified { caller, unbelieved: None, from, expires }
                    }
                    Some(Err(problem)) => Identified::nobody(Some(problem), from),
                    None => Identified::nobody(None, from),
                },
                Ok(caller) => Identified { caller, unbelieved: None, from, expires: None },
                Err(problem) => Identified::nobody(Some(problem), from),
            }
        })
    }

    /// Whether one who was believed would still be: nothing was revoked and nothing has expired meanwhile.
    pub(crate) fn still_believes(&self, caller: &Caller) -> Result<(), Problem> {
        let now = self.0.clock.now();
        self.0.ledger.read(|farm| match caller {
            Caller::InProcess | Caller::Nobody => Ok(()),
            Caller::Coordinator(number) => of_peer(Peer::Coordinator(*number), farm).map(drop),
            Caller::Agent(agent) => of_peer(Peer::Agent(*agent), farm).map(drop),
            Caller::Person { token, .. } => {
                let record = farm.identities().tokens().get(token);
                let record = record.ok_or_else(|| unbelieved(&IdentityRefusal::NotOurs))?;
                record.is_good(now).map_err(|refusal| unbelieved(&refusal))
            }
        })
    }
}

impl Default for Identified {
    /// Nobody, from nowhere.
    fn default() -> Self {
        Self::nobody(None, None)
    }
}

impl Identified {
    /// Whether the caller has what is needed.
    ///
    /// # Errors
    /// What is missing, or why what was shown is not believed.
    pub(crate) fn may(&self, need: Need) -> Result<(), Problem> {
        let refused = |problem| self.unbelieved.clone().unwrap_or(problem);
        self.caller.may(need).map_err(refused)
    }

    const fn nobody(unbelieved: Option<Problem>, from: Option<SocketAddr>) -> Self {
        Self { caller: Caller::Nobody, unbelieved, from, expires: None }
    }
}
