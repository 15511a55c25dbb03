//! Who was heard of when, as the leader alone knows it. Ten thousand agents speak every five seconds; that all is
//! as it was is no news to the ledger, which only learns of silence.
//!
//! ```text
//!   agents ── every 5 s ──► heard, claimed ──► Liveness ── silent for a term ──► ExpireLease, LoseAgent, Overrun
//!                                                 ▲
//!             leadership begins, or the leader slept: everybody gets a full term from now on
//! ```
//!
//! All times here are milliseconds of one machine's monotonic clock, so no two clocks are ever compared: a command
//! carries how long the silence was, and applying it checks that that is long enough.

use std::collections::BTreeMap;

use kiln_plan::id::{AgentId, Epoch, TaskId};

use crate::agent::{AgentPhase, SILENCE_MS};
use crate::command::Action;
use crate::lease::LEASE_MS;
use crate::overrun::Overrun;
use crate::state::FarmState;
use crate::time::Timestamp;

/// Longer between two looks means that the leader itself was away, in milliseconds. Looks are a second apart.
pub const GAP_MS: u64 = 5_000;

/// What the leader has heard since it leads.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    looked: Option<u64>,
    agents: BTreeMap<AgentId, u64>,
    attempts: BTreeMap<(TaskId, Epoch), Pulse>,
}

/// What was heard of an attempt.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    /// When its holder last claimed it.
    claimed: u64,
    /// When it last got anywhere.
    moved: u64,
}

impl Liveness {
    /// Forgets everything: whoever is not heard of from now on has a full term.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// An agent spoke.
    pub fn heard(&mut self, agent: AgentId, now: u64) {
        self.agents.insert(agent, now);
    }

    /// How long ago each agent spoke last, in milliseconds; for one that this leader has not heard yet, how long it has
    /// been waited for.
    pub fn heard_ago(&self, now: u64) -> BTreeMap<AgentId, u64> {
        self.agents.iter().map(|(agent, heard)| (*agent, now.saturating_sub(*heard))).collect()
    }

    /// An agent said that it has an attempt, which last got anywhere `idle_ms` milliseconds ago as far as it knows.
    pub fn claimed(&mut self, task: TaskId, epoch: Epoch, idle_ms: Option<u64>, now: u64) {
        let pulse = self.attempts.entry((task, epoch)).or_insert(Pulse { claimed: now, moved: now });
        pulse.claimed = now;
        if let Some(idle_ms) = idle_ms {
            pulse.moved = pulse.moved.max(now.saturating_sub(idle_ms));
        }
    }

    /// Something came of an attempt.
    pub fn moved(&mut self, task: TaskId, epoch: Epoch, now: u64) {
        if let Some(pulse) = self.attempts.get_mut(&(task, epoch)) {
            pulse.moved = now;
        }
    }

    /// How long a lease lasts unless it is renewed, in milliseconds.
    pub fn remaining_ms(&self, task: TaskId, epoch: Epoch, now: u64) -> u64 {
        let claimed = self.attempts.get(&(task, epoch)).map_or(now, |pulse| pulse.claimed);
        LEASE_MS.saturating_sub(now.saturating_sub(claimed))
    }

    /// What silence demands: to be asked each second. `at` is the farm's time, for deadlines.
    pub fn due(&mut self, state: &FarmState, now: u64, at: Timestamp) -> Vec<Action> {
        let slept = self.looked.is_some_and(|looked| now.saturating_sub(looked) > GAP_MS);
        if slept {
            self.restart();
        }
        self.looked = Some(now);
        let mut due = self.silent_leases(state, now, at);
        due.extend(self.silent_agents(state, now));
        due
    }

    fn silent_leases(&mut self, state: &FarmState, now: u64, at: Timestamp) -> Vec<Action> {
        let mut due = Vec::new();
        let mut pulses = BTreeMap::new();
        let held = state.agents().values().flat_map(|agent| &agent.holds);
        for task in held.filter_map(|id| state.tasks().get(id)) {
            let Some(lease) = task.lease() else { continue };
            let (id, epoch) = (task.id, lease.epoch);
            // One that was never claimed counts from when it was first noticed.
            let known = self.attempts.get(&(id, epoch)).copied();
            let pulse = known.unwrap_or(Pulse { claimed: now, moved: now });
            pulses.insert((id, epoch), pulse);
            let silent_ms = now.saturating_sub(pulse.claimed);
            let idle_ms = now.saturating_sub(pulse.moved);
            if silent_ms >= LEASE_MS {
                due.push(Action::ExpireLease { task: id, epoch, silent_ms });
            } else if !task.cancelling
                && let Some(limit) = Overrun::of(&task.terms, lease, idle_ms, at)
            {
                due.push(Action::Overrun { task: id, epoch, limit });
            }
        }
        self.attempts = pulses;
        due
    }

    fn silent_agents(&mut self, state: &FarmState, now: u64) -> Vec<Action> {
        let mut due = Vec::new();
        let mut heard = BTreeMap::new();
        for agent in state.agents().values() {
            if !matches!(agent.phase, AgentPhase::Ready | AgentPhase::Draining) {
                continue;
            }
            let last = self.agents.get(&agent.id).copied().unwrap_or(now);
            heard.insert(agent.id, last);
            let silent_ms = now.saturating_sub(last);
            if silent_ms >= SILENCE_MS {
                due.push(Action::LoseAgent { agent: agent.id, silent_ms });
            }
        }
        self.agents = heard;
        due
    }
}
