//! Where attempts, which speak from any thread, meet the stream: the table under a lock, and two bells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kiln_plan::build::PLAN_FORMAT;
use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::{BuildPlan, Failure, Fault};
use kiln_proto::link::{Assignment, AttemptEvents, AttemptKey, AttemptReceipt, DesiredState, HeldAttempt};
use serde::Deserialize;
use tokio::sync::Notify;

use super::log::Log;
use super::table::{Effect, Table};
use super::{Attempts, Order, Voice};

/// The table and who waits for it to change.
#[derive(Debug)]
pub(super) struct Desk {
    table: Mutex<Table>,
    begun: Instant,
    attempts: Arc<dyn Attempts>,
    /// Rung when the coordinator should hear of a new state.
    pub(super) states: Notify,
    /// Rung when there are events to send.
    pub(super) events: Notify,
}

impl Desk {
    pub(super) fn new(attempts: Arc<dyn Attempts>) -> Self {
        Self {
            table: Mutex::default(),
            begun: Instant::now(),
            attempts,
            states: Notify::new(),
            events: Notify::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with(|table| table.is_empty())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.with(|table| table.is_idle())
    }

    /// Takes up what the hands have from before.
    pub(super) fn adopt(self: &Arc<Self>) {
        for key in self.attempts.found() {
            self.with(|table| table.adopt(key));
            self.attempts.resume(key, Voice::new(key, Arc::clone(self)));
        }
    }

    pub(super) fn held(&self) -> Vec<HeldAttempt> {
        self.with(|table| table.held(self.now_ms()))
    }

    /// Follows the coordinator's wishes.
    pub(super) fn follow(self: &Arc<Self>, desired: DesiredState) {
        let effects = self.with(|table| table.follow(desired));
        if !effects.is_empty() {
            self.states.notify_one();
        }
        effects.into_iter().for_each(|effect| self.act(effect));
    }

    /// Lets go of everything.
    pub(super) fn give_up(self: &Arc<Self>) {
        let effects = self.with(Table::lose_all);
        effects.into_iter().for_each(|effect| self.act(effect));
    }

    fn act(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Start(assignment) => self.start(&assignment),
            Effect::Stop(key, why) => self.attempts.stop(key, why),
            Effect::Answer(key, answer) => self.attempts.answer(key, answer),
            Effect::Forget(key) => self.attempts.forget(key),
        }
    }

    fn start(self: &Arc<Self>, assignment: &Assignment) {
        let Assignment { build, key: attempt, first_sequence, .. } = *assignment;
        match read_plan(&assignment.plan) {
            Ok(plan) => {
                let voice = Voice::new(attempt, Arc::clone(self));
                self.attempts.start(Order { build, attempt, first_sequence, plan }, voice);
            }
            Err(failure) => self.finish(attempt, TaskOutcome::Failed { failure }),
        }
    }

    pub(super) fn running(&self, key: AttemptKey) {
        if self.with(|table| table.running(key)) {
            self.states.notify_one();
        }
    }

    pub(super) fn finish(&self, key: AttemptKey, outcome: TaskOutcome) {
        let Some(effects) = self.with(|table| table.finish(key, outcome)) else { return };
        self.states.notify_one();
        self.forget(effects);
    }

    /// Carries out what may follow from words of attempts.
    fn forget(&self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Forget(key) = effect {
                self.attempts.forget(key);
            }
        }
    }

    pub(super) fn keep_events_in(&self, key: AttemptKey, log: Box<dyn Log>) {
        self.with(|table| table.keep_events_in(key, log));
        self.events.notify_one();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Nobody is told at once: the next state tells since when.
    pub(super) fn moved(&self, key: AttemptKey) {
        self.with(|table| table.moved(key, self.now_ms()));
    }

    pub(super) fn say(&self, key: AttemptKey, kind: &EventKind) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.with(|table| table.say(key, at_ms, kind));
        self.events.notify_one();
    }

    /// Events to be sent, about `room` bytes of them.
    pub(super) fn outgoing(&self, room: usize) -> Vec<AttemptEvents> {
        self.with(|table| table.events(room))
    }

    pub(super) fn taken(&self, receipts: &[AttemptReceipt]) {
        let (news, effects) = self.with(|table| table.taken(receipts));
        if news || !effects.is_empty() {
            self.states.notify_one();
        }
        self.forget(effects);
    }

    /// A new connection.
    pub(super) fn rewind(&self) {
        self.with(Table::rewind);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The part of every plan, of whatever format, that says which format it has.
#[derive(Deserialize)]
struct PlanHead {
    format: u32,
}

/// Reads a plan. One of a later version is this machine's fault: another may run a later agent.
fn read_plan(json: &[u8]) -> Result<BuildPlan, Failure> {
    let damaged = |error: serde_json::Error| {
        Failure::new(Fault::Farm, format!("the plan of the task can't be read: {error}"))
    };
    let PlanHead { format } = serde_json::from_slice(json).map_err(damaged)?;
    if format > PLAN_FORMAT {
        let told = format!("the plan has format {format}, this agent reads up to {PLAN_FORMAT}");
        return Err(Failure::new(Fault::Machine, told).hint("update kiln on the agent's machine"));
    }
    serde_json::from_slice(json).map_err(damaged)
}
