//! A small farm to tell stories with: names instead of UUIDs, one line per command, laws checked after each.

use std::num::NonZeroU32;

use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, TaskId};
use kiln_plan::requirements::{DEADLINE_MS, NO_PROGRESS_MS};
use kiln_plan::{Failure, Fault, Requirements};
use uuid::Uuid;

use crate::invariant;
use crate::{
    Action, Command, FarmState, Held, HeldPhase, NewTask, Offer, Origin, Outcome, TaskPhase, Timestamp, apply,
};

pub(super) const fn build(n: u128) -> BuildId {
    BuildId::new(Uuid::from_u128(0xb000 + n))
}

pub(super) const fn task(n: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(0x7000 + n))
}

pub(super) const fn agent(n: u128) -> AgentId {
    AgentId::new(Uuid::from_u128(0xa000 + n))
}

pub(super) const fn attempt(n: u128) -> AttemptId {
    AttemptId::new(Uuid::from_u128(0xe000 + n))
}

pub(super) fn new_task(n: u128, requirements: Requirements) -> NewTask {
    let terms = requirements.terms.or(Some(DEADLINE_MS), Some(NO_PROGRESS_MS));
    let requirements = Requirements { terms, ..requirements };
    let name = format!("null.t{n}");
    NewTask { id: task(n), plan: Fingerprint::of_bytes(name.as_bytes()), name, requirements }
}

pub(super) fn needs(component: &str) -> Requirements {
    Requirements { components: [component.to_owned()].into(), ..Requirements::default() }
}

pub(super) fn offers(slots: u32, components: &[&str]) -> Offer {
    let components = components.iter().map(|name| (*name).to_owned()).collect();
    Offer { slots, components, ..Offer::default() }
}

pub(super) fn failed(fault: Fault) -> TaskOutcome {
    TaskOutcome::Failed { failure: Failure::new(fault, "it broke") }
}

pub(super) fn succeeded() -> TaskOutcome {
    TaskOutcome::Succeeded { artifacts: Vec::new() }
}

/// A state with a clock.
#[derive(Debug, Default)]
pub(super) struct Farm {
    pub(super) state: FarmState,
    pub(super) now: u64,
}

impl Farm {
    /// Applies and checks every law.
    pub(super) fn apply(&mut self, action: Action) -> Outcome {
        let before = self.state.clone();
        let outcome = apply(&mut self.state, &Command { at: Timestamp(self.now), action: action.clone() });
        invariant::check(&self.state).unwrap_or_else(|broken| panic!("{action:?} broke a law: {broken}"));
        invariant::check_step(&before, &self.state)
            .unwrap_or_else(|broken| panic!("{action:?} broke a law: {broken}"));
        if outcome.refusal().is_some() {
            let unchanged = FarmState { now: self.state.now, ..before };
            assert_eq!(unchanged, self.state, "a refused command changed the state: {action:?}");
        }
        outcome
    }

    /// Applies what must not be refused.
    pub(super) fn must(&mut self, action: Action) -> Outcome {
        let outcome = self.apply(action.clone());
        assert_eq!(outcome.refusal(), None, "{action:?}");
        outcome
    }

    pub(super) fn submit(&mut self, n: u128, parallel: u32, tasks: Vec<NewTask>) {
        self.submit_as(n, parallel, tasks, Origin::default());
    }

    /// Submits for somebody, with some urgency.
    pub(super) fn submit_as(&mut self, n: u128, parallel: u32, tasks: Vec<NewTask>, origin: Origin) {
        let parallel = NonZeroU32::new(parallel);
        self.must(Action::Submit { build: build(n), parallel, tasks, origin, join: false });
    }

    pub(super) fn connect(&mut self, n: u128, offer: Offer) {
        self.must(Action::Connect { agent: agent(n), name: format!("a{n}"), offer });
    }

    /// Gives task `t` to agent `a`; the attempt has the number of the epoch.
    pub(super) fn assign(&mut self, t: u128, a: u128) -> Outcome {
        let next = self.state.tasks.get(&task(t)).map_or(1, |task| task.epoch.0 + 1);
        self.apply(Action::Assign { task: task(t), agent: agent(a), attempt: attempt(u128::from(next)) })
    }

    pub(super) fn claim(t: u128, epoch: u64) -> Held {
        let attempt = attempt(u128::from(epoch));
        Held { task: task(t), attempt, epoch: Epoch(epoch), phase: HeldPhase::Running }
    }

    pub(super) fn synchronize(&mut self, a: u128, held: Vec<Held>) -> Outcome {
        self.apply(Action::Synchronize { agent: agent(a), draining: false, held })
    }

    pub(super) fn report(&mut self, t: u128, a: u128, epoch: u64, outcome: TaskOutcome) -> Outcome {
        self.apply(Action::Report {
            task: task(t),
            agent: agent(a),
            attempt: attempt(u128::from(epoch)),
            epoch: Epoch(epoch),
            outcome,
            said: Some(epoch * 100),
        })
    }

    pub(super) fn expire(&mut self, t: u128, epoch: u64) -> Outcome {
        self.apply(Action::ExpireLease {
            task: task(t),
            epoch: Epoch(epoch),
            silent_ms: crate::lease::LEASE_MS,
        })
    }

    /// One word for where a task stands.
    pub(super) fn phase(&self, t: u128) -> String {
        let task = &self.state.tasks[&task(t)];
        match &task.phase {
            TaskPhase::Queued { .. } => "queued".into(),
            TaskPhase::Leased(lease) => format!("leased to {} epoch {}", self.name(lease.agent), lease.epoch),
            TaskPhase::Running(lease) => {
                format!("running on {} epoch {}", self.name(lease.agent), lease.epoch)
            }
            TaskPhase::Finished { outcome, .. } => match outcome {
                TaskOutcome::Succeeded { .. } => "succeeded".into(),
                TaskOutcome::Failed { failure } => format!("failed: {failure}"),
                TaskOutcome::Cancelled => "cancelled".into(),
            },
        }
    }

    fn name(&self, agent: AgentId) -> &str {
        self.state.agents.get(&agent).map_or("?", |agent| &agent.name)
    }

    /// Two agents with two slots each, one build of one task held by the first.
    pub(super) fn with_one_running() -> Self {
        let mut farm = Self { now: 1_000, ..Self::default() };
        farm.connect(1, offers(2, &["builder/null"]));
        farm.connect(2, offers(2, &["builder/null"]));
        farm.submit(1, 0, vec![new_task(1, needs("builder/null"))]);
        farm.assign(1, 1);
        farm.synchronize(1, vec![Self::claim(1, 1)]);
        farm
    }
}
