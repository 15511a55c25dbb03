//! The laws that hold between any two commands, one function each. Tests check them after every command;
//! a simulation can do the same with a running farm.

use std::collections::BTreeSet;

use kiln_plan::id::TaskId;

use crate::agent::{AgentPhase, Room};
use crate::build::BuildPhase;
use crate::identity::laws;
use crate::image::law;
use crate::retry::MAX_ATTEMPTS;
use crate::state::FarmState;
use crate::state::index::Index;
use crate::task::{Task, TaskPhase};

/// A law of one state: says what breaks it.
pub type Law = fn(&FarmState) -> Result<(), String>;

/// A law of a state and the one that followed it.
pub type StepLaw = fn(&FarmState, &FarmState) -> Result<(), String>;

/// Every law of one state.
pub const LAWS: &[Law] = &[
    tasks_and_builds_know_each_other,
    the_index_follows_from_the_rest,
    agents_hold_exactly_what_is_leased_to_them,
    agents_count_their_room_rightly,
    builds_count_their_tasks_rightly,
    no_build_exceeds_its_limit,
    a_build_ends_with_its_last_task,
    a_lease_carries_the_latest_epoch,
    epochs_of_attempts_grow,
    each_attempt_says_its_end_once,
    attempts_are_bounded,
    an_agent_that_is_gone_holds_nothing,
    nothing_that_is_cancelled_waits,
    law::a_task_publishes_at_most_once,
    law::versions_are_distinct,
    laws::only_join_tokens_are_used,
    laws::coordinators_are_numbered_by_the_farm,
];

/// Every law of a step.
pub const STEP_LAWS: &[StepLaw] = &[
    time_never_goes_back,
    finished_tasks_never_change,
    epochs_never_fall,
    a_new_holder_has_a_new_epoch,
    nothing_is_lost,
    law::only_the_holder_publishes,
    law::images_never_change,
    law::condemning_and_publishing_exclude_each_other,
    laws::the_authority_stays,
    laws::what_ended_a_token_stays,
    laws::a_revoked_agent_gets_nothing_new,
    laws::every_revocation_is_counted,
];

/// The first law that a state breaks.
///
/// # Errors
/// What breaks it.
pub fn check(state: &FarmState) -> Result<(), String> {
    LAWS.iter().try_for_each(|law| law(state))
}

/// The first law that a step breaks.
///
/// # Errors
/// What breaks it.
pub fn check_step(before: &FarmState, after: &FarmState) -> Result<(), String> {
    STEP_LAWS.iter().try_for_each(|law| law(before, after))
}

fn require(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

fn each_task(state: &FarmState, law: impl Fn(&Task) -> bool, broken: &str) -> Result<(), String> {
    let culprit = state.tasks.values().find(|task| !law(task));
    culprit.map_or(Ok(()), |task| Err(format!("{broken}: {task:?}")))
}

/// A task lies in exactly the build it names.
pub fn tasks_and_builds_know_each_other(state: &FarmState) -> Result<(), String> {
    let listed: Vec<TaskId> = state.builds.values().flat_map(|build| build.tasks.iter().copied()).collect();
    let known: BTreeSet<TaskId> = state.tasks.keys().copied().collect();
    let distinct: BTreeSet<TaskId> = listed.iter().copied().collect();
    require(listed.len() == distinct.len() && distinct == known, || "tasks of builds ≠ tasks".into())?;
    let named = |task: &Task| state.builds.get(&task.build).is_some_and(|b| b.tasks.contains(&task.id));
    each_task(state, named, "a task names a build that doesn't list it")
}

/// The index says what would be found by searching.
pub fn the_index_follows_from_the_rest(state: &FarmState) -> Result<(), String> {
    let searched = Index::of(state);
    require(searched == state.index, || format!("index {:?} instead of {searched:?}", state.index))
}

/// The room that agents use is that of their tasks.
pub fn agents_count_their_room_rightly(state: &FarmState) -> Result<(), String> {
    for agent in state.agents.values() {
        let tasks = agent.holds.iter().filter_map(|id| state.tasks.get(id));
        let used = tasks.fold(Room::default(), |used, t| used.plus(&Room::taken(&t.requirements)));
        require(used == agent.used, || format!("{} counts {:?} instead of {used:?}", agent.id, agent.used))?;
    }
    Ok(())
}

/// No task is held by two agents, and each holder knows.
pub fn agents_hold_exactly_what_is_leased_to_them(state: &FarmState) -> Result<(), String> {
    for agent in state.agents.values() {
        let leased = |task: &&Task| task.lease().is_some_and(|lease| lease.agent == agent.id);
        let expected: BTreeSet<TaskId> = state.tasks.values().filter(leased).map(|task| task.id).collect();
        require(expected == agent.holds, || {
            format!("{} holds {:?}, not {expected:?}", agent.id, agent.holds)
        })?;
    }
    let known = |task: &Task| task.lease().is_none_or(|lease| state.agents.contains_key(&lease.agent));
    each_task(state, known, "a task is leased to an unknown agent")
}

/// The counts of a build are those of its tasks.
pub fn builds_count_their_tasks_rightly(state: &FarmState) -> Result<(), String> {
    for build in state.builds.values() {
        let tasks = || build.tasks.iter().filter_map(|id| state.tasks.get(id));
        let active = tasks().filter(|task| task.lease().is_some()).count();
        let unfinished = tasks().filter(|task| !task.is_finished()).count();
        let counted = (build.active as usize, build.unfinished as usize);
        require(counted == (active, unfinished), || {
            format!("build {} counts {counted:?} instead of {active}, {unfinished}", build.id)
        })?;
    }
    Ok(())
}

/// `-parallel-builds` is kept.
pub fn no_build_exceeds_its_limit(state: &FarmState) -> Result<(), String> {
    let over = state.builds.values().find(|b| b.parallel.is_some_and(|limit| b.active > limit.get()));
    over.map_or(Ok(()), |b| Err(format!("build {} has {} of {:?} tasks held", b.id, b.active, b.parallel)))
}

/// A build is over when, and only when, all its tasks are.
pub fn a_build_ends_with_its_last_task(state: &FarmState) -> Result<(), String> {
    let wrong = state.builds.values().find(|b| matches!(b.phase, BuildPhase::Running) != (b.unfinished > 0));
    wrong.map_or(Ok(()), |b| Err(format!("build {} is {:?} with {} to go", b.id, b.phase, b.unfinished)))
}

/// Only the latest grant of a task is a lease.
pub fn a_lease_carries_the_latest_epoch(state: &FarmState) -> Result<(), String> {
    let latest = |task: &Task| task.lease().is_none_or(|lease| lease.epoch == task.epoch);
    each_task(state, latest, "a lease is not the latest")
}

/// Later attempts have higher epochs, none above the task's.
pub fn epochs_of_attempts_grow(state: &FarmState) -> Result<(), String> {
    let grow = |task: &Task| {
        let past: Vec<u64> = task.attempts.iter().map(|ended| ended.epoch.0).collect();
        let now = task.lease().map(|lease| lease.epoch.0);
        let all: Vec<u64> = past.into_iter().chain(now).collect();
        all.windows(2).all(|pair| pair[0] < pair[1]) && all.iter().all(|epoch| *epoch <= task.epoch.0)
    };
    each_task(state, grow, "epochs don't grow")
}

/// Of each attempt it is known once how far its events go, and in the order of the attempts.
pub fn each_attempt_says_its_end_once(state: &FarmState) -> Result<(), String> {
    let once = |task: &Task| {
        task.said.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && task.said.last().is_none_or(|(epoch, _)| *epoch <= task.epoch)
            && task.lease().is_none_or(|lease| task.said(lease.epoch).is_none())
    };
    each_task(state, once, "an attempt that goes on has said its end, or one has twice")
}

/// No task is tried for ever.
pub fn attempts_are_bounded(state: &FarmState) -> Result<(), String> {
    let bounded = |task: &Task| {
        let under_way = usize::from(!task.is_finished());
        task.attempts.len() + under_way <= MAX_ATTEMPTS
    };
    each_task(state, bounded, "too many attempts")
}

/// Whoever left has no lease.
pub fn an_agent_that_is_gone_holds_nothing(state: &FarmState) -> Result<(), String> {
    let gone = |agent: &&crate::Agent| matches!(agent.phase, AgentPhase::Gone { .. });
    let holding = state.agents.values().filter(gone).find(|agent| !agent.holds.is_empty());
    holding.map_or(Ok(()), |agent| Err(format!("agent {} is gone and holds {:?}", agent.id, agent.holds)))
}

/// A cancelled task is never given to anybody again.
pub fn nothing_that_is_cancelled_waits(state: &FarmState) -> Result<(), String> {
    let fine = |task: &Task| !(task.cancelling && matches!(task.phase, TaskPhase::Queued { .. }));
    each_task(state, fine, "a cancelled task waits")
}

/// The state's time is that of the latest command.
pub fn time_never_goes_back(before: &FarmState, after: &FarmState) -> Result<(), String> {
    require(before.now <= after.now, || format!("{} after {}", after.now, before.now))
}

/// Finished is final.
pub fn finished_tasks_never_change(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let mut finished = before.tasks.values().filter(|task| task.is_finished());
    let changed = finished.find(|task| after.tasks.get(&task.id).is_some_and(|now| now != *task));
    changed.map_or(Ok(()), |task| Err(format!("finished task {} changed", task.id)))
}

/// A fencing number is never taken back.
pub fn epochs_never_fall(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let fell = before.tasks.values().find(|t| after.tasks.get(&t.id).is_some_and(|now| now.epoch < t.epoch));
    fell.map_or(Ok(()), |task| Err(format!("the epoch of task {} fell", task.id)))
}

/// Two agents never work under one fencing number, nor two attempts.
pub fn a_new_holder_has_a_new_epoch(before: &FarmState, after: &FarmState) -> Result<(), String> {
    for task in after.tasks.values() {
        let Some(lease) = task.lease() else { continue };
        let Some(earlier) = before.tasks.get(&task.id) else { continue };
        let expired = earlier.attempts.last().map(|ended| (ended.agent, ended.attempt, ended.epoch));
        let known = earlier.lease().map(|l| (l.agent, l.attempt, l.epoch)).or(expired);
        let same = known == Some((lease.agent, lease.attempt, lease.epoch));
        require(same || lease.epoch > earlier.epoch, || {
            format!("task {} has a new holder under epoch {}", task.id, lease.epoch)
        })?;
    }
    Ok(())
}

/// A task leaves the farm only with its whole build, after the build ended.
pub fn nothing_is_lost(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let lost = before.tasks.values().find(|task| {
        let ended = before.builds.get(&task.build).is_some_and(crate::Build::is_ended);
        !after.tasks.contains_key(&task.id) && !ended
    });
    lost.map_or(Ok(()), |task| Err(format!("task {} was lost", task.id)))
}
