//! Agents come, fall silent and leave. Their leases are not touched here: those expire by themselves.

use kiln_plan::id::AgentId;

use super::Applied;
use crate::agent::{Agent, AgentPhase, LOST_MS, Offer, SILENCE_MS};
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;

pub(super) fn connect(state: &mut FarmState, id: AgentId, name: &str, offer: &Offer) -> Applied {
    let now = state.now;
    let agent = state.agents.entry(id).or_insert_with(|| Agent {
        id,
        name: String::new(),
        offer: Offer::default(),
        phase: AgentPhase::Ready,
        last_heard: now,
        holds: std::collections::BTreeSet::new(),
    });
    name.clone_into(&mut agent.name);
    agent.offer = offer.clone();
    agent.phase = AgentPhase::Ready;
    agent.last_heard = now;
    Ok(Outcome::Done)
}

pub(super) fn lose(state: &mut FarmState, id: AgentId) -> Applied {
    let now = state.now;
    let agent = state.agents.get_mut(&id).ok_or(Refusal::UnknownAgent(id))?;
    match agent.phase {
        AgentPhase::Ready | AgentPhase::Draining if now.ms_since(agent.last_heard) >= SILENCE_MS => {
            agent.phase = AgentPhase::Lost { since: now };
            Ok(Outcome::Done)
        }
        AgentPhase::Ready | AgentPhase::Draining | AgentPhase::Lost { .. } | AgentPhase::Gone { .. } => {
            Err(Refusal::AgentIsHeard(id))
        }
    }
}

/// An agent that says goodbye holds nothing any more; a lost one is given up only after its leases expired.
pub(super) fn depart(state: &mut FarmState, id: AgentId) -> Applied {
    let now = state.now;
    let agent = state.agents.get_mut(&id).ok_or(Refusal::UnknownAgent(id))?;
    let may_go = match agent.phase {
        AgentPhase::Ready | AgentPhase::Draining => true,
        AgentPhase::Lost { since } => now.ms_since(since) >= LOST_MS,
        AgentPhase::Gone { .. } => false,
    };
    if !may_go || !agent.holds.is_empty() {
        return Err(Refusal::AgentNotGone(id));
    }
    agent.phase = AgentPhase::Gone { since: now };
    Ok(Outcome::Done)
}
