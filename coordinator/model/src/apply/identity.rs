//! Who may take part changes: the farm is founded, tokens are made, used and revoked, agents are turned away.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, TokenId};

use super::Applied;
use crate::agent::AgentPhase;
use crate::command::Action;
use crate::identity::{
    Authority, FOUNDER, IdentityAction, IdentityRefusal, Joined, MOST_TOKENS, NewToken, Newcomer,
    REMEMBERED_MS, TokenEnd, TokenRecord, TokenUse,
};
use crate::image::ImageAction;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;

/// Nothing that a revoked agent says counts.
pub(super) fn speaker_is_revoked(state: &FarmState, action: &Action) -> Option<Refusal> {
    let agent = match action {
        Action::Connect { agent, .. } | Action::Synchronize { agent, .. } | Action::Report { agent, .. } => {
            agent
        }
        Action::Image(ImageAction::Publish { by, .. }) => &by.agent,
        _ => return None,
    };
    let revoked = state.identities.is_agent_revoked(*agent);
    revoked.then_some(Refusal::Identity(IdentityRefusal::AgentRevoked(*agent)))
}

pub(super) fn apply(state: &mut FarmState, action: &IdentityAction) -> Applied {
    let done = match action {
        IdentityAction::FoundFarm { authority } => found(state, authority),
        IdentityAction::ResealAuthority { sealed_key } => reseal(state, sealed_key),
        IdentityAction::CreateToken { token } => create_token(state, token),
        IdentityAction::RevokeToken { token } => revoke_token(state, *token),
        IdentityAction::UseJoinToken { token, secret, key, newcomer } => {
            use_join_token(state, (*token, *secret), *key, *newcomer)
        }
        IdentityAction::RevokeAgent { agent } => revoke_agent(state, *agent),
        IdentityAction::RevokeCoordinator { coordinator } => revoke_coordinator(state, *coordinator),
        IdentityAction::Forget => forget(state),
    };
    done.map_err(Refusal::Identity)
}

type Done = Result<Outcome, IdentityRefusal>;

fn found(state: &mut FarmState, authority: &Authority) -> Done {
    if state.identities.authority.is_some() {
        return Err(IdentityRefusal::AlreadyFounded);
    }
    state.identities.authority = Some(authority.clone());
    state.identities.last_coordinator = FOUNDER;
    Ok(Outcome::Done)
}

fn reseal(state: &mut FarmState, sealed_key: &str) -> Done {
    let authority = state.identities.authority.as_mut().ok_or(IdentityRefusal::NotFounded)?;
    sealed_key.clone_into(&mut authority.sealed_key);
    Ok(Outcome::Done)
}

fn create_token(state: &mut FarmState, new: &NewToken) -> Done {
    let identities = &mut state.identities;
    if identities.authority.is_none() {
        return Err(IdentityRefusal::NotFounded);
    }
    if identities.tokens.contains_key(&new.id) {
        return Err(IdentityRefusal::DuplicateToken(new.id));
    }
    let lasting = matches!(new.usage, TokenUse::Client { .. });
    if new.expires.is_none() && !lasting {
        return Err(IdentityRefusal::Endless);
    }
    if identities.tokens.len() >= MOST_TOKENS {
        // What has ended is kept for people to read, and gives way to what is needed.
        let ended = identities.tokens.values().filter_map(|token| Some((token.ended(state.now)?, token.id)));
        let (_, first) = ended.min().ok_or(IdentityRefusal::TooManyTokens)?;
        identities.tokens.remove(&first);
    }
    let NewToken { id, name, secret, usage, expires } = new.clone();
    let record = TokenRecord { id, name, secret, usage, made: state.now, expires, end: None };
    identities.tokens.insert(id, record);
    Ok(Outcome::Done)
}

fn revoke_token(state: &mut FarmState, id: TokenId) -> Done {
    let at = state.now;
    let token = state.identities.tokens.get_mut(&id).ok_or(IdentityRefusal::NotOurs)?;
    match token.end {
        Some(TokenEnd::Revoked { .. }) => Err(IdentityRefusal::TokenRevoked),
        // What joined by it is turned away by itself.
        Some(TokenEnd::Used { .. }) => Err(IdentityRefusal::Used),
        None => {
            token.end = Some(TokenEnd::Revoked { at });
            state.identities.revocations += 1;
            Ok(Outcome::Done)
        }
    }
}

/// An agent that didn't hear the answer asks again with the same key: that is the same enrolment. A coordinator
/// is given secrets, hence nothing twice.
fn use_join_token(
    state: &mut FarmState,
    (id, secret): (TokenId, Fingerprint),
    key: Fingerprint,
    newcomer: Newcomer,
) -> Done {
    let now = state.now;
    let identities = &mut state.identities;
    let token = identities.tokens.get_mut(&id).filter(|token| token.secret == secret);
    let token = token.ok_or(IdentityRefusal::NotOurs)?;
    let joined = match (&token.usage, newcomer) {
        (TokenUse::JoinAgent, Newcomer::Agent(agent)) => Joined::Agent(agent),
        (TokenUse::JoinCoordinator, Newcomer::Coordinator) => {
            Joined::Coordinator(identities.last_coordinator + 1)
        }
        (_, Newcomer::Agent(_)) => return Err(IdentityRefusal::OtherUse("agents".into())),
        (_, Newcomer::Coordinator) => return Err(IdentityRefusal::OtherUse("coordinators".into())),
    };
    if let Some(TokenEnd::Used { by: Joined::Agent(agent), key: certified, .. }) = token.end
        && certified == key
        && token.expires.is_none_or(|end| now < end)
    {
        return Ok(Outcome::Joined(Joined::Agent(agent)));
    }
    token.is_good(now)?;
    token.end = Some(TokenEnd::Used { at: now, by: joined, key });
    if let Joined::Coordinator(number) = joined {
        identities.last_coordinator = number;
    }
    Ok(Outcome::Joined(joined))
}

/// It is given nothing any more; what it has is taken back when its leases end, as with one that fell silent.
fn revoke_agent(state: &mut FarmState, id: AgentId) -> Done {
    if state.identities.is_agent_revoked(id) {
        return Err(IdentityRefusal::AgentRevoked(id));
    }
    let since = state.now;
    state.identities.revoked_agents.insert(id, since);
    state.identities.revocations += 1;
    state.alter_agent(id, |agent| {
        if matches!(agent.phase, AgentPhase::Ready | AgentPhase::Draining) {
            agent.phase = AgentPhase::Lost { since };
        }
    });
    Ok(Outcome::Done)
}

fn revoke_coordinator(state: &mut FarmState, number: u64) -> Done {
    let at = state.now;
    let identities = &mut state.identities;
    if !(FOUNDER..=identities.last_coordinator).contains(&number) {
        return Err(IdentityRefusal::UnknownCoordinator(number));
    }
    if identities.is_coordinator_revoked(number) {
        return Err(IdentityRefusal::CoordinatorRevoked(number));
    }
    identities.revoked_coordinators.insert(number, at);
    identities.revocations += 1;
    Ok(Outcome::Done)
}

/// Coordinators live for longer than that, and are few: they stay turned away.
fn forget(state: &mut FarmState) -> Done {
    let now = state.now;
    let identities = &mut state.identities;
    identities.tokens.retain(|_, token| !token.is_forgettable(now));
    identities.revoked_agents.retain(|_, at| now.ms_since(*at) < REMEMBERED_MS);
    Ok(Outcome::Done)
}
