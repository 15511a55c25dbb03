//! The farm's state in the words that people see: pure, from state to [`kiln_proto::view`].

use std::collections::BTreeMap;

use kiln_model::task::AttemptEnd;
use kiln_model::{AgentPhase, BuildPhase, BuildResult, FarmState, TaskPhase, Timestamp};
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::AgentId;
use kiln_proto::view::{Agent, AgentName, Attempt, Build, Explanation, Member, Overview, Slots, Task};

/// How many builds are listed when nobody says.
const USUAL_BUILDS: usize = 100;

/// The most builds that are listed.
const MOST_BUILDS: usize = 10_000;

/// How many builds are listed for somebody who asked for so many; 0 for as many as usual.
pub(crate) fn most_builds(asked: u32) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => USUAL_BUILDS,
        Ok(most) => most.min(MOST_BUILDS),
    }
}

/// How the farm does, but for its coordinators.
pub(crate) fn overview(farm: &FarmState) -> Overview {
    let mut overview = Overview { version: env!("CARGO_PKG_VERSION").to_owned(), ..Overview::default() };
    for agent in farm.agents().values() {
        count(&mut overview.agents, agent_state(agent.phase));
        if agent.is_ready() {
            overview.slots.all += u64::from(agent.offer.slots);
            overview.slots.free += u64::from(agent.free_slots());
        }
    }
    farm.tasks().values().for_each(|task| count(&mut overview.tasks, task_state(&task.phase)));
    overview.running_builds = farm.builds().values().filter(|build| !build.is_ended()).count() as u64;
    overview
}

fn count(counts: &mut BTreeMap<String, u64>, state: &str) {
    *counts.entry(state.to_owned()).or_default() += 1;
}

/// The builds that are wanted, latest first.
pub(crate) fn builds(
    farm: &FarmState,
    most: usize,
    wanted: impl Fn(&kiln_model::Build) -> bool,
) -> Vec<Build> {
    let mut chosen: Vec<_> = farm.builds().values().filter(|build| wanted(build)).collect();
    chosen.sort_by_key(|build| std::cmp::Reverse(build.order));
    chosen.into_iter().take(most).map(|known| build(farm, known)).collect()
}

/// One build.
pub(crate) fn build(farm: &FarmState, build: &kiln_model::Build) -> Build {
    let (state, ended_ms) = match build.phase {
        BuildPhase::Running => ("running", None),
        BuildPhase::Ended { at, result } => (result_state(result), Some(at.0)),
    };
    Build {
        id: build.id,
        project: build.origin.project.clone(),
        submitted_ms: build.submitted.0,
        ended_ms,
        state: state.to_owned(),
        tasks: build
            .tasks
            .iter()
            .filter_map(|id| farm.tasks().get(id))
            .map(|known| task(farm, known))
            .collect(),
    }
}

fn task(farm: &FarmState, task: &kiln_model::Task) -> Task {
    let since = match &task.phase {
        TaskPhase::Queued { since } => *since,
        TaskPhase::Leased(lease) | TaskPhase::Running(lease) => lease.granted,
        TaskPhase::Finished { at, .. } => *at,
    };
    let attempts = task.attempts.iter().map(|ended| Attempt {
        id: ended.attempt,
        agent: agent_name(farm, ended.agent),
        ended_ms: ended.ended.0,
        ended_by: match &ended.how {
            AttemptEnd::LeaseExpired => "its agent was not heard of in time".to_owned(),
            AttemptEnd::Failed(failure) => failure.to_string(),
        },
    });
    Task {
        id: task.id,
        name: task.name.clone(),
        state: task_state(&task.phase).to_owned(),
        since_ms: since.0,
        agent: task.lease().map(|lease| agent_name(farm, lease.agent)),
        attempts: attempts.collect(),
        outcome: task.outcome().cloned(),
    }
}

/// Why the unfinished tasks of a build are where they are.
pub(crate) fn explain(farm: &FarmState, build: &kiln_model::Build, now: Timestamp) -> Vec<Explanation> {
    let open = build.tasks.iter().filter_map(|id| farm.tasks().get(id)).filter(|task| !task.is_finished());
    let told = |task: &kiln_model::Task| {
        let reasons = kiln_model::explain(farm, task.id, now)?.lines;
        Some(Explanation { task: task.id, name: task.name.clone(), reasons })
    };
    open.filter_map(told).collect()
}

/// A coordinator.
pub(crate) fn member(member: &crate::ledger::Member) -> Member {
    let role = match (member.leads, member.votes) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    };
    Member { id: member.id, address: member.address.clone(), role: role.to_owned(), lag: member.lag }
}

/// The agents, by name. `heard_ago` tells how many milliseconds before `now` each was heard: while all is as it was, the
/// ledger learns nothing of it.
pub(crate) fn agents(farm: &FarmState, now: Timestamp, heard_ago: &BTreeMap<AgentId, u64>) -> Vec<Agent> {
    let latest = |of: &kiln_model::Agent| {
        let last = heard_ago.get(&of.id).map_or(0, |ago| now.0.saturating_sub(*ago));
        of.last_heard.0.max(last)
    };
    let mut agents: Vec<Agent> = farm.agents().values().map(|of| agent(of, latest(of))).collect();
    agents.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    agents
}

fn agent(agent: &kiln_model::Agent, last_heard_ms: u64) -> Agent {
    Agent {
        id: agent.id,
        name: agent.name.clone(),
        state: agent_state(agent.phase).to_owned(),
        last_heard_ms,
        slots: Slots { all: u64::from(agent.offer.slots), free: u64::from(agent.free_slots()) },
        labels: agent.offer.labels.clone(),
        cpus: agent.offer.cpus,
        memory_mib: agent.offer.memory_mib,
        holds: agent.holds.iter().copied().collect(),
    }
}

fn agent_name(farm: &FarmState, id: AgentId) -> AgentName {
    let name =
        farm.agents().get(&id).map_or_else(|| "an agent that is gone".to_owned(), |agent| agent.name.clone());
    AgentName { id, name }
}

const fn agent_state(phase: AgentPhase) -> &'static str {
    match phase {
        AgentPhase::Ready => "ready",
        AgentPhase::Draining => "draining",
        AgentPhase::Lost { .. } => "lost",
        AgentPhase::Gone { .. } => "gone",
    }
}

const fn task_state(phase: &TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Queued { .. } => "queued",
        TaskPhase::Leased(_) => "leased",
        TaskPhase::Running(_) => "running",
        TaskPhase::Finished { outcome, .. } => match outcome {
            TaskOutcome::Succeeded { .. } => "succeeded",
            TaskOutcome::Failed { .. } => "failed",
            TaskOutcome::Cancelled => "cancelled",
        },
    }
}

const fn result_state(result: BuildResult) -> &'static str {
    match result {
        BuildResult::Succeeded => "succeeded",
        BuildResult::Failed => "failed",
        BuildResult::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{Action, Command, Offer, apply};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_agent_was_heard_when_it_spoke_last_whether_or_not_that_was_news() {
        let mut farm = FarmState::default();
        for n in [1, 2] {
            let agent = AgentId::new(Uuid::from_u128(n));
            let action = Action::Connect { agent, name: format!("a{n}"), offer: Offer::default() };
            apply(&mut farm, &Command { at: Timestamp(1_000), action });
        }
        let heard_ago = BTreeMap::from([(AgentId::new(Uuid::from_u128(1)), 3_000)]);
        let told = agents(&farm, Timestamp(60_000), &heard_ago);
        assert_eq!(told.iter().map(|agent| agent.last_heard_ms).collect::<Vec<_>>(), [57_000, 1_000]);
    }
}
