//! What holds of identities between any two commands.

use super::{FOUNDER, TokenEnd, TokenUse};
use crate::state::FarmState;

fn require(holds: bool, broken: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

/// Client tokens are shown again and again; only join tokens are used up, each for what it was made for.
pub fn only_join_tokens_are_used(state: &FarmState) -> Result<(), String> {
    use super::Joined::{Agent, Coordinator};
    let fits = |token: &super::TokenRecord| match (&token.end, &token.usage) {
        (Some(TokenEnd::Used { by: Agent(_), .. }), usage) => *usage == TokenUse::JoinAgent,
        (Some(TokenEnd::Used { by: Coordinator(_), .. }), usage) => *usage == TokenUse::JoinCoordinator,
        (Some(TokenEnd::Revoked { .. }) | None, _) => true,
    };
    require(state.identities.tokens.values().all(fits), "a token was used for something else")
}

/// Numbers of coordinators come from the farm, begin with the founder's, and none is above the latest.
pub fn coordinators_are_numbered_by_the_farm(state: &FarmState) -> Result<(), String> {
    let identities = &state.identities;
    let founded = identities.authority.is_some();
    require(founded == (identities.last_coordinator >= FOUNDER), "coordinators without a founded farm")?;
    let known = |n: &u64| (FOUNDER..=identities.last_coordinator).contains(n);
    require(identities.revoked_coordinators.keys().all(known), "a coordinator was revoked that never was")
}

/// A farm keeps its authority.
pub fn the_authority_stays(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let certificate = |state: &FarmState| state.identities.authority.as_ref().map(|a| a.certificate.clone());
    let earlier = certificate(before);
    require(earlier.is_none() || earlier == certificate(after), "the authority was replaced")
}

/// A token that was used or revoked never becomes good again.
pub fn what_ended_a_token_stays(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let stays = before.identities.tokens.values().filter(|token| token.end.is_some()).all(|token| {
        let now = after.identities.tokens.get(&token.id);
        now.is_none_or(|now| match (&token.end, &now.end) {
            (Some(TokenEnd::Used { .. }), Some(TokenEnd::Revoked { .. })) => true,
            (earlier, later) => earlier == later,
        })
    });
    require(stays, "a token became good again")
}

/// Whoever was turned away is given no task.
pub fn a_revoked_agent_gets_nothing_new(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let fine = before.identities.revoked_agents.keys().all(|id| {
        let holds = |state: &FarmState| state.agents.get(id).map(|a| a.holds.clone()).unwrap_or_default();
        holds(after).is_subset(&holds(before))
    });
    require(fine, "a revoked agent was given a task")
}

/// Streams that wait for it learn of everybody who is turned away.
pub fn every_revocation_is_counted(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let (before, after) = (&before.identities, &after.identities);
    let revoked = |token: &&super::TokenRecord| matches!(token.end, Some(TokenEnd::Revoked { .. }));
    let tokens = |of: &super::Identities| of.tokens.values().filter(revoked).count();
    let more = tokens(after) > tokens(before)
        || after.revoked_agents.len() > before.revoked_agents.len()
        || after.revoked_coordinators.len() > before.revoked_coordinators.len();
    require(!more || before.revocations < after.revocations, "somebody was revoked, and it was not counted")
}
