//! A coordinator: what its sessions and duties do, with the genuine scheduler and liveness. One that was deposed believes
//! for a while that it leads, and looks at a state that stands still.

use std::collections::{BTreeMap, BTreeSet};

use kiln_model::{
    Action, FarmState, Held, HeldPhase, ImageAction, Liveness, NewImage, Offer, Publisher, Scheduler,
    TaskPhase, apply, desired, due,
};
use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, Epoch, ImageId, TaskId};
use kiln_plan::{Failure, Fault};
use kiln_proto::Bytes;
use kiln_proto::event::place;
use kiln_proto::link::{
    Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, CurrentState, DesiredState,
    WantedAttempt,
};

use super::dice::Dice;
use super::world::{Answer, Reply, What, Word, World};

/// How long a coordinator that lost its majority believes that it leads, in milliseconds.
pub(super) const BELIEF_MS: u64 = 2_000;

/// A coordinator.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) up: bool,
    /// Whether it believes to lead.
    pub(super) leads: bool,
    /// Under which term.
    pub(super) term: u64,
    /// Whether the others and the clients can't reach it.
    pub(super) isolated: bool,
    /// How far its clock is off, in milliseconds.
    pub(super) skew: i64,
    pub(super) scheduler: Scheduler,
    liveness: Liveness,
    /// What it sees when it doesn't hear of commands any more.
    frozen: Option<FarmState>,
    seats: BTreeMap<AgentId, Seat>,
    /// Up to which change of orders machines were told.
    told: u64,
    /// How far the events of attempts were taken.
    logs: BTreeMap<(TaskId, Epoch), u64>,
    /// Attempts that leaders before this one granted.
    inherited: BTreeSet<(TaskId, Epoch)>,
}

/// A stream of an agent, as the coordinator's session keeps it.
#[derive(Debug, Default)]
struct Seat {
    machine: usize,
    connection: u64,
    given: BTreeSet<AttemptKey>,
    reported: BTreeSet<AttemptKey>,
}

impl Leader {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let skew = i64::try_from(dice.between(0, 7_200_000)).unwrap_or(0) - 3_600_000;
        Self {
            up: true,
            leads: false,
            term: 0,
            isolated: false,
            skew: if dice.permille(300) { skew } else { skew / 3_600 },
            scheduler: Scheduler::default(),
            liveness: Liveness::default(),
            frozen: None,
            seats: BTreeMap::new(),
            told: 0,
            logs: BTreeMap::new(),
            inherited: BTreeSet::new(),
        }
    }

    /// Forgets what only a leader knows.
    pub(super) fn forget(&mut self) {
        self.leads = false;
        self.frozen = None;
        self.seats.clear();
        self.logs.clear();
        self.liveness.restart();
        self.scheduler = Scheduler::default();
        self.told = 0;
    }
}

impl World {
    /// A majority chooses who leads.
    pub(super) fn elect(&mut self) {
        let able: Vec<usize> =
            (0..self.leaders.len()).filter(|n| self.leaders[*n].up && !self.leaders[*n].isolated).collect();
        if able.len() * 2 <= self.leaders.len() {
            return;
        }
        let chosen = able[self.dice.index(able.len())];
        self.ledger.term += 1;
        self.ledger.leader = Some(chosen);
        let tasks = self.ledger.state.tasks().values();
        let inherited = tasks.map(|task| (task.id, task.epoch)).collect();
        let leader = &mut self.leaders[chosen];
        leader.forget();
        leader.inherited = inherited;
        (leader.leads, leader.term) = (true, self.ledger.term);
        let term = leader.term;
        self.tell(|| format!("coordinator {chosen} leads under term {term}"));
        self.later(1, What::Duties { of: chosen, term });
    }

    /// The leader is cut off from the others: they choose another, while it goes on for a while.
    pub(super) fn depose(&mut self, old: usize) {
        self.leaders[old].frozen = Some(self.ledger.state.clone());
        self.ledger.leader = None;
    }

    /// What a coordinator sees of the farm.
    fn view(&self, of: usize) -> &FarmState {
        self.leaders[of].frozen.as_ref().unwrap_or(&self.ledger.state)
    }

    /// Looks with what only the leader has.
    fn with_leader<T>(&mut self, of: usize, look: impl FnOnce(&mut Leader, &FarmState) -> T) -> T {
        let frozen = self.leaders[of].frozen.take();
        let result = look(&mut self.leaders[of], frozen.as_ref().unwrap_or(&self.ledger.state));
        self.leaders[of].frozen = frozen;
        result
    }

    pub(super) fn duties(&mut self, of: usize, term: u64) {
        let leader = &self.leaders[of];
        if !leader.up || !leader.leads || leader.term != term {
            return;
        }
        let (now, at) = (self.now, self.time(of));
        let mut actions = self.with_leader(of, |leader, state| {
            let at = at.max(state.now());
            let mut actions = leader.liveness.due(state, now, at);
            let departed = due::departed_agents(state, at).into_iter();
            actions.extend(departed.map(|agent| Action::Depart { agent }));
            let hopeless = due::hopeless_tasks(state, at, 20 * 60_000).into_iter();
            actions.extend(hopeless.map(|task| Action::GiveUp { task }));
            actions
        });
        actions.extend(self.assignments(of));
        for action in actions {
            self.propose(of, action, Reply::Duty);
        }
        self.later(1_000, What::Duties { of, term });
    }

    fn assignments(&mut self, of: usize) -> Vec<Action> {
        let at = self.time(of);
        let due =
            self.with_leader(of, |leader, state| leader.scheduler.assignments(state, at.max(state.now()), 8));
        let attempt = |world: &mut Self| AttemptId::new(world.dice.uuid());
        due.into_iter()
            .map(|a| Action::Assign { task: a.task, agent: a.agent, attempt: attempt(self) })
            .collect()
    }

    /// A coordinator hears of a machine.
    pub(super) fn hear(&mut self, machine: usize, connection: u64, word: Word) {
        let Some(open) = self.machines[machine].connection.filter(|open| open.number == connection) else {
            return;
        };
        let of = open.coordinator;
        if !self.leaders[of].up || !self.leaders[of].leads {
            return self.close(of, machine, connection);
        }
        match word {
            Word::State(state) => self.hear_state(of, machine, connection, *state),
            Word::Events(events) => {
                let receipts = events.into_iter().map(|events| self.take_events(of, events)).collect();
                self.send_down(machine, connection, Answer::Receipts(receipts));
            }
        }
    }

    fn hear_state(&mut self, of: usize, machine: usize, connection: u64, state: CurrentState) {
        let agent = self.machines[machine].id;
        let mut actions = Vec::new();
        if let Some(hello) = &state.hello {
            let offer = Offer { slots: hello.slots, memory_mib: hello.memory_mib, ..Offer::default() };
            if apply::is_new(self.view(of), agent, &hello.name, &offer) {
                actions.push(Action::Connect { agent, name: hello.name.clone(), offer });
            }
            let given = state.held.iter().map(|held| held.key).collect();
            let seat = Seat { machine, connection, given, reported: BTreeSet::new() };
            self.leaders[of].seats.insert(agent, seat);
        }
        let claims: Vec<Held> = state
            .held
            .iter()
            .filter_map(|held| {
                let phase = match held.phase {
                    AttemptPhase::Accepted => HeldPhase::Accepted,
                    AttemptPhase::Running => HeldPhase::Running,
                    AttemptPhase::Ended(_) => return None,
                };
                let AttemptKey { task, attempt, epoch } = held.key;
                Some(Held { task, attempt, epoch, phase })
            })
            .collect();
        let now = self.now;
        let Some(seat) = self.leaders[of].seats.get_mut(&agent).filter(|seat| seat.connection == connection)
        else {
            return self.close(of, machine, connection);
        };
        for held in &state.held {
            if let AttemptPhase::Ended(outcome) = &held.phase
                && seat.reported.insert(held.key)
            {
                let AttemptKey { task, attempt, epoch } = held.key;
                let (outcome, said) = (outcome.clone(), held.said);
                actions.push(Action::Report { task, agent, attempt, epoch, outcome, said });
            }
        }
        let leader = &mut self.leaders[of];
        leader.liveness.heard(agent, now);
        for held in &state.held {
            leader.liveness.claimed(held.key.task, held.key.epoch, held.idle_ms, now);
        }
        if apply::is_news(self.view(of), agent, state.draining, &claims) {
            actions.insert(
                actions.iter().take_while(|a| matches!(a, Action::Connect { .. })).count(),
                Action::Synchronize { agent, draining: state.draining, held: claims },
            );
        }
        for action in actions {
            self.propose(of, action, Reply::Session { machine, connection });
        }
        self.tell_machine(of, agent);
    }

    /// Takes events unless a later attempt is known.
    fn take_events(&mut self, of: usize, events: AttemptEvents) -> AttemptReceipt {
        let AttemptEvents { task, epoch, records } = events;
        let teller = self.view(of).tasks().get(&task).and_then(|task| task.teller(epoch));
        let own = records.iter().all(|record| place::is_told_by_agent(record.sequence, epoch));
        if teller.is_none() || !own {
            return AttemptReceipt { task, epoch, next_sequence: 0, durable_sequence: 0, refused: true };
        }
        let now = self.now;
        let leader = &mut self.leaders[of];
        leader.liveness.moved(task, epoch, now);
        let first = records.first().map_or(place::first(epoch), |record| record.sequence);
        let next = leader.logs.entry((task, epoch)).or_insert(first);
        for record in records {
            if record.sequence == *next {
                *next += 1;
                self.laws.events.hear(task, record);
            }
        }
        AttemptReceipt { task, epoch, next_sequence: *next, durable_sequence: *next, refused: false }
    }

    /// Tells the machines whose orders changed.
    pub(super) fn tell_machines(&mut self, of: usize) {
        let (agents, latest) = {
            let state = self.view(of);
            (state.revised_after(self.leaders[of].told).collect::<Vec<_>>(), state.counts().revisions)
        };
        self.leaders[of].told = latest;
        for agent in agents {
            self.tell_machine(of, agent);
        }
        // The assign duty is woken by change.
        if self.leaders[of].leads {
            for action in self.assignments(of) {
                self.propose(of, action, Reply::Duty);
            }
        }
    }

    fn tell_machine(&mut self, of: usize, agent: AgentId) {
        let now = self.now;
        let mut lost = Vec::new();
        let told = self.with_leader(of, |leader, state| {
            let holdings = desired(state, agent);
            let drain = state.agents().get(&agent).is_some_and(|agent| agent.asked_to_drain);
            let seat = leader.seats.get_mut(&agent)?;
            let mut desired = DesiredState { drain, speak_within_ms: 5_000, ..DesiredState::default() };
            for holding in holdings {
                let key = AttemptKey { task: holding.task, attempt: holding.attempt, epoch: holding.epoch };
                let remaining_ms = leader.liveness.remaining_ms(key.task, key.epoch, now);
                desired.hold.push(WantedAttempt {
                    key,
                    remaining_ms,
                    cancel: holding.cancel,
                    answers: vec![],
                });
                let Some(build) = state.tasks().get(&key.task).map(|task| task.build) else { continue };
                if seat.given.insert(key) {
                    let begun = (key.task, key.epoch);
                    if leader.inherited.contains(&begun) && !leader.logs.contains_key(&begun) {
                        lost.push(key);
                        continue;
                    }
                    let first_sequence = *leader.logs.entry(begun).or_insert(place::first(key.epoch));
                    desired.begin.push(Assignment { build, key, first_sequence, plan: Bytes::new() });
                }
            }
            Some((seat.machine, seat.connection, desired))
        });
        if let Some((machine, connection, desired)) = told {
            self.send_down(machine, connection, Answer::State(desired));
        }
        lost.into_iter().for_each(|key| self.give_anew(of, agent, key));
    }

    /// A machine knows nothing of an attempt that an earlier leader may have given it.
    fn give_anew(&mut self, of: usize, agent: AgentId, key: AttemptKey) {
        let AttemptKey { task, attempt, epoch } = key;
        let known = self.view(of).tasks().get(&task);
        let ran = known.is_some_and(|task| matches!(task.phase, TaskPhase::Running(_)));
        let action = if ran {
            let failure = Failure::new(Fault::Farm, "its agent lost it");
            let outcome = TaskOutcome::Failed { failure };
            Action::Report { task, agent, attempt, epoch, outcome, said: None }
        } else {
            Action::HandBack { task, epoch }
        };
        self.propose(of, action, Reply::Duty);
    }

    /// A machine asks to make an image visible.
    pub(super) fn ask_to_publish(&mut self, of: usize, machine: usize, key: AttemptKey) {
        let by = Publisher {
            agent: self.machines[machine].id,
            task: key.task,
            attempt: key.attempt,
            epoch: key.epoch,
        };
        let name = format!("image-{}", key.task.0.simple());
        let image = NewImage {
            id: ImageId::new(self.dice.uuid()),
            version: self.view(of).images().next_version(&name),
            name,
            size: 1,
            files: 1,
            manifest: Fingerprint::of_bytes(b"manifest"),
        };
        let collections = self.view(of).images().collections();
        let publish = Action::Image(ImageAction::Publish { by, image, collections });
        self.propose(of, publish, Reply::Publisher { machine, key });
    }

    /// Ends a stream; the machine hears of it if anything gets through.
    pub(super) fn close(&mut self, of: usize, machine: usize, connection: u64) {
        let agent = self.machines[machine].id;
        if self.leaders[of].seats.get(&agent).is_some_and(|seat| seat.connection == connection) {
            self.leaders[of].seats.remove(&agent);
        }
        self.send_down(machine, connection, Answer::Closed);
    }
}
