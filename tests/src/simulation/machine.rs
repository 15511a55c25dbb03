//! A machine with its agent: the genuine table of attempts, and what its guests and its connection do.

use std::collections::{BTreeMap, BTreeSet};

use kiln_agent::link::Stop;
use kiln_agent::link::table::{Effect, Table};
use kiln_model::{ImageRefusal, Outcome, Refusal};
use kiln_plan::event::{EventKind, TaskOutcome};
use kiln_plan::id::AgentId;
use kiln_plan::{Catalog, Failure, Fault};
use kiln_proto::link::{AttemptKey, CurrentState, DesiredState, Hello};

use super::dice::Dice;
use super::world::{Answer, Deed, What, Word, World};

/// After so long without a word of a coordinator a connection is given up, in milliseconds.
const SILENCE_MS: u64 = 20_000;

/// After so long without a word guests are given up, in milliseconds.
const HOLD_OUT_MS: u64 = 600_000;

/// Bytes of events in one batch.
const BATCH: usize = 256 << 10;

/// A machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) id: AgentId,
    name: String,
    slots: u32,
    memory_mib: u64,
    pub(super) up: bool,
    /// Grows with each death, so that what was planned before doesn't happen.
    pub(super) life: u64,
    pub(super) table: Table,
    pub(super) connection: Option<Connection>,
    connections: u64,
    /// Guests that are running, with whether they make an image.
    guests: BTreeMap<AttemptKey, bool>,
    stopping: BTreeSet<AttemptKey>,
    last_word: u64,
    /// Until when nothing of it gets out, and until when nothing gets in.
    pub(super) mute: u64,
    pub(super) deaf: u64,
}

/// A connection to a coordinator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) coordinator: usize,
    greeted: bool,
    /// When a word was lost first, in either direction. Nothing that comes after a lost word arrives.
    lost_up: Option<u64>,
    lost_down: Option<u64>,
    /// When the latest word of either side arrives: words don't overtake each other.
    up_at: u64,
    down_at: u64,
}

impl Machine {
    pub(super) fn new(n: u64, dice: &mut Dice) -> Self {
        Self {
            id: AgentId::new(dice.uuid()),
            name: format!("m{n}"),
            slots: u32::try_from(dice.between(1, 4)).unwrap_or(1),
            memory_mib: dice.between(4, 9) * 1024,
            up: true,
            life: 0,
            table: Table::default(),
            connection: None,
            connections: 0,
            guests: BTreeMap::new(),
            stopping: BTreeSet::new(),
            last_word: 0,
            mute: 0,
            deaf: 0,
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            agent: self.id,
            name: self.name.clone(),
            version: "0".into(),
            slots: self.slots,
            labels: BTreeMap::new(),
            cpus: 0,
            memory_mib: self.memory_mib,
            catalog: Catalog::default().into(),
            arch: String::new(),
            accelerators: BTreeSet::new(),
            disk_mib: 0,
            tools: BTreeMap::new(),
        }
    }

    /// The whole machine dies with its guests.
    pub(super) fn crash(&mut self) {
        self.up = false;
        self.life += 1;
        self.table = Table::default();
        self.connection = None;
        self.guests.clear();
        self.stopping.clear();
    }

    /// Only the agent's daemon dies; it finds its attempts again.
    pub(super) fn restart(&mut self) -> Vec<AttemptKey> {
        self.life += 1;
        self.table = Table::default();
        self.connection = None;
        let found: Vec<AttemptKey> = self.guests.keys().copied().collect();
        for key in &found {
            self.table.adopt(*key);
        }
        found
    }
}

impl World {
    /// A machine will do something, if it still lives then.
    pub(super) fn will(&mut self, machine: usize, after: u64, deed: Deed) {
        let life = self.machines[machine].life;
        self.later(after, What::Machine { machine, life, deed });
    }

    pub(super) fn act(&mut self, machine: usize, deed: Deed) {
        match deed {
            Deed::Dial => self.dial(machine),
            Deed::Speak => self.speak_up(machine),
            Deed::Began(key) => {
                if self.machines[machine].table.running(key) {
                    self.say(machine, key, "booting");
                    self.speak(machine);
                }
            }
            Deed::Built(key) => self.built(machine, key),
            Deed::Publish(key) => self.publish(machine, key),
            Deed::Stopped(key) => {
                let cancelled = Failure::cancelled();
                let outcome = if self.dice.permille(500) {
                    TaskOutcome::Cancelled
                } else {
                    TaskOutcome::Failed { failure: cancelled }
                };
                self.finish(machine, key, outcome);
            }
        }
    }

    fn dial(&mut self, machine: usize) {
        if self.machines[machine].connection.is_some() {
            return;
        }
        let leading: Vec<usize> =
            (0..self.leaders.len()).filter(|n| self.leaders[*n].up && self.leaders[*n].leads).collect();
        let pause = self.dice.between(100, 5_000);
        if leading.is_empty() || self.machines[machine].mute > self.now {
            return self.will(machine, pause, Deed::Dial);
        }
        let coordinator = leading[self.dice.index(leading.len())];
        let (now, of) = (self.now, &mut self.machines[machine]);
        of.connections += 1;
        of.last_word = now;
        let number = of.connections;
        of.connection = Some(Connection {
            number,
            coordinator,
            greeted: false,
            lost_up: None,
            lost_down: None,
            up_at: 0,
            down_at: 0,
        });
        of.table.rewind();
        self.speak(machine);
        self.will(machine, 5_000, Deed::Speak);
        self.send_events(machine);
    }

    /// The machine speaks because it is time to.
    fn speak_up(&mut self, machine: usize) {
        let silent = self.now - self.machines[machine].last_word;
        if silent >= HOLD_OUT_MS {
            let effects = self.machines[machine].table.lose_all();
            self.follow(machine, effects);
        }
        if self.machines[machine].connection.is_none() {
            return;
        }
        if silent >= SILENCE_MS || self.is_broken(machine) {
            return self.hang_up(machine);
        }
        self.speak(machine);
        self.will(machine, 5_000, Deed::Speak);
    }

    /// Whether the connection's own pings have told by now that it is broken.
    fn is_broken(&self, machine: usize) -> bool {
        let lost = self.machines[machine].connection.and_then(|open| open.lost_up.or(open.lost_down));
        lost.is_some_and(|since| self.now - since >= SILENCE_MS)
    }

    fn hang_up(&mut self, machine: usize) {
        self.machines[machine].connection = None;
        let pause = self.dice.between(100, 5_000);
        self.will(machine, pause, Deed::Dial);
    }

    fn speak(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        let hello = of.hello();
        let Some(connection) = of.connection.as_mut() else { return };
        let hello = (!std::mem::replace(&mut connection.greeted, true)).then_some(hello);
        let held = of.table.held(self.now);
        self.send_up(machine, Word::State(Box::new(CurrentState { hello, held, ..CurrentState::default() })));
    }

    fn say(&mut self, machine: usize, key: AttemptKey, text: &str) {
        let kind = EventKind::Say { speaker: None, text: text.to_owned() };
        self.machines[machine].table.say(key, self.now, &kind);
        self.send_events(machine);
    }

    fn send_events(&mut self, machine: usize) {
        if self.machines[machine].connection.is_none() {
            return;
        }
        let batch = self.machines[machine].table.events(BATCH);
        if !batch.is_empty() {
            self.send_up(machine, Word::Events(batch));
        }
    }

    /// The guest is done; what came of it is chance.
    fn built(&mut self, machine: usize, key: AttemptKey) {
        let Some(image) = self.machines[machine].guests.get(&key).copied() else { return };
        self.say(machine, key, "built");
        let trouble = if self.healed { 0 } else { 150 };
        if self.dice.permille(trouble) {
            let fault = [Fault::Template, Fault::Guest, Fault::Machine, Fault::Farm][self.dice.index(4)];
            let failure = Failure::new(fault, "it broke");
            return self.finish(machine, key, TaskOutcome::Failed { failure });
        }
        if image {
            return self.publish(machine, key);
        }
        self.finish(machine, key, TaskOutcome::Succeeded { artifacts: vec![] });
    }

    /// Uploads are done: asks to make the image visible, and asks again until somebody answers.
    fn publish(&mut self, machine: usize, key: AttemptKey) {
        if !self.machines[machine].guests.contains_key(&key) {
            return;
        }
        let cut_off = self.machines[machine].mute > self.now;
        let leading: Vec<usize> =
            (0..self.leaders.len()).filter(|n| self.leaders[*n].up && self.leaders[*n].leads).collect();
        if !cut_off && !leading.is_empty() {
            let of = leading[self.dice.index(leading.len())];
            self.ask_to_publish(of, machine, key);
            if self.dice.permille(100) {
                self.ask_to_publish(of, machine, key);
            }
        }
        self.will(machine, 10_000, Deed::Publish(key));
    }

    fn finish(&mut self, machine: usize, key: AttemptKey, outcome: TaskOutcome) {
        let of = &mut self.machines[machine];
        of.guests.remove(&key);
        of.stopping.remove(&key);
        if let Some(effects) = of.table.finish(key, outcome) {
            self.follow(machine, effects);
            self.send_events(machine);
            self.speak(machine);
        }
    }

    /// A coordinator's word arrives.
    pub(super) fn receive(&mut self, machine: usize, connection: u64, word: Answer) {
        let now = self.now;
        let of = &mut self.machines[machine];
        if !of.up {
            return;
        }
        if let Answer::Published { key, outcome } = word {
            return self.published(machine, key, outcome);
        }
        if of.connection.is_none_or(|open| open.number != connection) {
            return;
        }
        match word {
            Answer::State(desired) => {
                of.last_word = now;
                self.obey(machine, desired);
            }
            Answer::Receipts(receipts) => {
                let (news, effects) = of.table.taken(&receipts);
                self.follow(machine, effects);
                if news {
                    self.speak(machine);
                }
                self.send_events(machine);
            }
            Answer::Closed => self.hang_up(machine),
            Answer::Published { .. } => {}
        }
    }

    fn obey(&mut self, machine: usize, desired: DesiredState) {
        let effects = self.machines[machine].table.follow(desired);
        let news = !effects.is_empty();
        self.follow(machine, effects);
        if news {
            self.speak(machine);
        }
    }

    fn follow(&mut self, machine: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(assignment) => {
                    let image = self.dice.permille(600);
                    self.machines[machine].guests.insert(assignment.key, image);
                    let (boot, build) = (self.dice.between(10, 3_000), self.dice.between(5_000, 400_000));
                    // Some guests hang, which only limits end.
                    let build = if !self.healed && self.dice.permille(20) { 10 * 3_600_000 } else { build };
                    self.will(machine, boot, Deed::Began(assignment.key));
                    self.will(machine, boot + build, Deed::Built(assignment.key));
                }
                Effect::Stop(key, why) => {
                    if self.machines[machine].stopping.insert(key) {
                        let undo = self.dice.between(10, if why == Stop::Lost { 60_000 } else { 5_000 });
                        self.will(machine, undo, Deed::Stopped(key));
                    }
                }
                Effect::Forget(key) => drop(self.machines[machine].guests.remove(&key)),
                Effect::Answer(..) => {}
            }
        }
    }

    fn published(&mut self, machine: usize, key: AttemptKey, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Published { .. }) => {
                self.finish(machine, key, TaskOutcome::Succeeded { artifacts: vec![] });
            }
            Some(Outcome::Refused(Refusal::StaleEpoch { .. } | Refusal::UnknownTask(_))) => {
                let failure = Failure::new(Fault::Farm, "the image was refused");
                self.finish(machine, key, TaskOutcome::Failed { failure });
            }
            // It may become its own again, or others were faster; it asks again.
            Some(Outcome::Refused(Refusal::Image(ImageRefusal::LeaseExpired(_)))) | Some(_) | None => {}
        }
    }

    fn send_up(&mut self, machine: usize, word: Word) {
        let (delay, twice) = (self.delay(), !self.healed && self.dice.permille(10));
        let now = self.now;
        let of = &mut self.machines[machine];
        let Some(open) = of.connection.as_mut() else { return };
        let cut_off = of.mute > now || self.leaders[open.coordinator].isolated && self.dice.permille(500);
        if cut_off || open.lost_up.is_some() {
            open.lost_up.get_or_insert(now);
            return;
        }
        open.up_at = open.up_at.max(now + delay);
        let (number, after) = (open.number, open.up_at - now);
        if twice {
            self.later(after, What::Up { machine, connection: number, word: word.clone() });
        }
        self.later(after, What::Up { machine, connection: number, word });
    }

    pub(super) fn send_down(&mut self, machine: usize, connection: u64, word: Answer) {
        let (delay, twice) = (self.delay(), !self.healed && self.dice.permille(10));
        let now = self.now;
        let of = &mut self.machines[machine];
        let deaf = of.deaf > now;
        let mut open = of.connection.as_mut().filter(|open| open.number == connection);
        if let Some(open) = open.as_mut().filter(|open| deaf || open.lost_down.is_some()) {
            open.lost_down.get_or_insert(now);
            return;
        }
        if deaf {
            return;
        }
        let at = open.map_or(now + delay, |open| {
            open.down_at = open.down_at.max(now + delay);
            open.down_at
        });
        if twice {
            self.later(at - now, What::Down { machine, connection, word: word.clone() });
        }
        self.later(at - now, What::Down { machine, connection, word });
    }

    fn delay(&mut self) -> u64 {
        if !self.healed && self.dice.permille(20) {
            self.dice.between(100, 8_000)
        } else {
            self.dice.between(1, 30)
        }
    }
}
