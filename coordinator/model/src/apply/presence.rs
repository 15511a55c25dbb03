//! Agents come, fall silent, are drained and leave. Their leases are not touched here: those expire by themselves.

use std::sync::Arc;

use kiln_plan::id::AgentId;

use super::Applied;
use crate::agent::{AgentPhase, LOST_MS, Offer, SILENCE_MS};
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;

/// Whether an agent that comes is new to the farm, was away, or offers something else than before. Otherwise nothing
/// would change, and the ledger need not hear of it.
pub fn is_new(state: &FarmState, id: AgentId, name: &str, offer: &Offer) -> bool {
    state.agents.get(&id).is_none_or(|agent| {
        let there = matches!(agent.phase, AgentPhase::Ready | AgentPhase::Draining) && !agent.leaving;
        !there || agent.name != name || *agent.offer != *offer
    })
}

pub(super) fn connect(state: &mut FarmState, id: AgentId, name: &str, offer: &Offer) -> Applied {
    let now = state.now;
    if !state.agents.contains_key(&id) {
        state.add_agent(id);
    }
    state.alter_agent(id, |agent| {
        name.clone_into(&mut agent.name);
        if *agent.offer != *offer {
            agent.offer = Arc::new(offer.clone());
        }
        agent.leaving = false;
        agent.phase = agent.heard_phase();
        agent.last_heard = now;
    });
    state.revise(id);
    Ok(Outcome::Done)
}

pub(super) fn lose(state: &mut FarmState, id: AgentId, silent_ms: u64) -> Applied {
    let now = state.now;
    let agent = state.agents.get(&id).ok_or(Refusal::UnknownAgent(id))?;
    match agent.phase {
        AgentPhase::Ready | AgentPhase::Draining if silent_ms >= SILENCE_MS => {
            state.alter_agent(id, |agent| agent.phase = AgentPhase::Lost { since: now });
            Ok(Outcome::Done)
        }
        AgentPhase::Ready | AgentPhase::Draining | AgentPhase::Lost { .. } | AgentPhase::Gone { .. } => {
            Err(Refusal::AgentIsHeard(id))
        }
    }
}

/// The wish of an operator: it stands until another one, also while the agent is away.
pub(super) fn drain(state: &mut FarmState, id: AgentId, drain: bool) -> Applied {
    if !state.agents.contains_key(&id) {
        return Err(Refusal::UnknownAgent(id));
    }
    state.alter_agent(id, |agent| {
        agent.asked_to_drain = drain;
        if matches!(agent.phase, AgentPhase::Ready | AgentPhase::Draining) {
            agent.phase = agent.heard_phase();
        }
    });
    state.revise(id);
    Ok(Outcome::Done)
}

/// An agent that says goodbye holds nothing any more; a lost one is given up only after its leases expired.
pub(super) fn depart(state: &mut FarmState, id: AgentId) -> Applied {
    let now = state.now;
    let agent = state.agents.get(&id).ok_or(Refusal::UnknownAgent(id))?;
    let may_go = match agent.phase {
        AgentPhase::Ready | AgentPhase::Draining => true,
        AgentPhase::Lost { since } => now.ms_since(since) >= LOST_MS,
        AgentPhase::Gone { .. } => false,
    };
    if !may_go || !agent.holds.is_empty() {
        return Err(Refusal::AgentNotGone(id));
    }
    state.alter_agent(id, |agent| agent.phase = AgentPhase::Gone { since: now });
    Ok(Outcome::Done)
}
