//! What is over is removed, so that the state stays as large as what goes on.

use kiln_plan::id::{AgentId, BuildId};

use super::Applied;
use crate::agent::AgentPhase;
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;

pub(super) fn forget_agent(state: &mut FarmState, id: AgentId) -> Applied {
    let agent = state.agents.get(&id).ok_or(Refusal::UnknownAgent(id))?;
    if !matches!(agent.phase, AgentPhase::Gone { .. }) {
        return Err(Refusal::AgentNotGone(id));
    }
    state.remove_agent(id);
    Ok(Outcome::Done)
}

pub(super) fn forget_build(state: &mut FarmState, id: BuildId) -> Applied {
    let build = state.builds.get(&id).ok_or(Refusal::UnknownBuild(id))?;
    if !build.is_ended() {
        return Err(Refusal::BuildNotEnded(id));
    }
    state.remove_build(id);
    Ok(Outcome::Done)
}
