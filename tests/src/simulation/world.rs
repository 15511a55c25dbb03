//! Everything that there is, and what happens next.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use kiln_model::{Action, NewTask, Origin, Outcome, Timestamp, invariant as model};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{Requirements, Terms};
use kiln_proto::link::{AttemptEvents, AttemptKey, AttemptReceipt, CurrentState, DesiredState};

use super::dice::Dice;
use super::invariant::{Laws, Step, builds_end};
use super::leader::Leader;
use super::ledger::{Ledger, Sabotage};
use super::machine::Machine;
use super::trouble::Trouble;

/// How many coordinators there are.
pub(super) const COORDINATORS: usize = 3;

/// How long trouble lasts, in milliseconds.
const TROUBLE_MS: u64 = 40 * 60_000;

/// How long after that every build must have ended, in milliseconds: longer than the longest hold and deadline.
const HEALED_MS: u64 = 3 * 3_600_000;

/// How many of the latest happenings are told with a failure.
const TOLD: usize = 40;

/// What a run amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commands applied.
    pub commands: u64,
    /// Things that happened.
    pub happenings: u64,
    /// Changes of leader.
    pub terms: u64,
    /// Tasks carried out.
    pub tasks: u64,
    /// Attempts that ended without finishing their task.
    pub retries: u64,
    /// Images published.
    pub images: u64,
}

impl Report {
    /// Adds up.
    pub const fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.happenings += other.happenings;
        self.terms += other.terms;
        self.tasks += other.tasks;
        self.retries += other.retries;
        self.images += other.images;
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commands, happenings, terms, tasks, retries, images } = self;
        write!(f, "{happenings} happenings, {commands} commands, {terms} terms, {tasks} tasks, ")?;
        write!(f, "{retries} attempts made again, {images} images")
    }
}

/// Something that is about to happen.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A coordinator does its duties.
    Duties { of: usize, term: u64 },
    /// A command reaches the ledger.
    Commit(Box<Proposal>),
    /// A machine's word reaches a coordinator.
    Up { machine: usize, connection: u64, word: Word },
    /// A coordinator's word reaches a machine.
    Down { machine: usize, connection: u64, word: Answer },
    /// A machine does something by itself, unless it died since.
    Machine { machine: usize, life: u64, deed: Deed },
    /// Something goes wrong, or right again.
    Trouble(Trouble),
    /// A client submits a build, perhaps again.
    Submit(Box<Action>),
    /// Somebody wants something else.
    Ask(Wish),
}

/// What people ask for now and then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Cancel,
    Drain,
    Undrain,
}

/// A command on its way to the ledger.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) by: usize,
    pub(super) term: u64,
    pub(super) action: Action,
    pub(super) reply: Reply,
}

/// Who waits for what becomes of a command.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Nobody,
    Duty,
    Session { machine: usize, connection: u64 },
    Publisher { machine: usize, key: AttemptKey },
    Client(Box<Action>),
}

/// What a machine says.
#[derive(Clone, Debug)]
pub(super) enum Word {
    State(Box<CurrentState>),
    Events(Vec<AttemptEvents>),
}

/// What it is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    State(DesiredState),
    Receipts(Vec<AttemptReceipt>),
    Published { key: AttemptKey, outcome: Option<Outcome> },
    Closed,
}

/// What a machine does by itself.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Dial,
    Speak,
    Began(AttemptKey),
    Built(AttemptKey),
    Publish(AttemptKey),
    Stopped(AttemptKey),
}

/// Everything.
#[derive(Debug)]
pub struct World {
    seed: u64,
    pub(super) now: u64,
    pub(super) dice: Dice,
    agenda: BTreeMap<(u64, u64), What>,
    number: u64,
    pub(super) ledger: Ledger,
    pub(super) leaders: Vec<Leader>,
    pub(super) machines: Vec<Machine>,
    pub(super) healed: bool,
    pub(super) laws: Laws,
    told: VecDeque<String>,
    happenings: u64,
}

impl World {
    /// A farm that a seed leads to.
    pub fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut dice = Dice::new(seed);
        let machines = (0..dice.between(2, 7)).map(|n| Machine::new(n, &mut dice)).collect();
        let leaders = (0..COORDINATORS).map(|_| Leader::new(&mut dice)).collect();
        let mut world = Self {
            seed,
            now: 0,
            dice,
            agenda: BTreeMap::new(),
            number: 0,
            ledger: Ledger::new(sabotage),
            leaders,
            machines,
            healed: false,
            laws: Laws::default(),
            told: VecDeque::new(),
            happenings: 0,
        };
        world.elect();
        (0..world.machines.len()).for_each(|machine| world.will(machine, 10, Deed::Dial));
        world.plan_submissions();
        world.plan_trouble(TROUBLE_MS);
        world
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// Which law was broken, with the seed and the last that happened.
    pub fn run(mut self) -> Result<Report, String> {
        self.run_to_end().map_err(|broken| {
            let told = self.told.iter().map(|line| format!("\n  {line}")).collect::<String>();
            format!("seed {} at {} ms: {broken}{told}", self.seed, self.now)
        })?;
        let state = &self.ledger.state;
        let retries = state.tasks().values().map(|task| task.attempts.len() as u64).sum();
        let (commands, happenings) = (self.ledger.commands, self.happenings);
        let (tasks, images) = (state.tasks().len() as u64, state.images().publications());
        Ok(Report { commands, happenings, terms: self.ledger.term, tasks, retries, images })
    }

    fn run_to_end(&mut self) -> Result<(), String> {
        while let Some(((at, _), what)) = self.agenda.pop_first() {
            self.now = at;
            if !self.healed && at >= TROUBLE_MS {
                self.heal();
            }
            let ended = self.healed && builds_end::check(&self.ledger.state).is_ok();
            if ended && at > TROUBLE_MS + 60_000 || at >= TROUBLE_MS + HEALED_MS {
                break;
            }
            self.happenings += 1;
            self.happen(what)?;
        }
        model::check(&self.ledger.state)?;
        builds_end::check(&self.ledger.state)?;
        self.laws.drains.check_end(&self.ledger.state)
    }

    fn happen(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Duties { of, term } => self.duties(of, term),
            What::Commit(proposal) => self.commit(*proposal)?,
            What::Up { machine, connection, word } => self.hear(machine, connection, word),
            What::Down { machine, connection, word } => self.receive(machine, connection, word),
            What::Machine { machine, life, deed } => {
                if self.machines[machine].life == life && self.machines[machine].up {
                    self.act(machine, deed);
                }
            }
            What::Trouble(trouble) => self.befall(trouble),
            What::Submit(action) => self.submit(action),
            What::Ask(wish) => self.ask(wish),
        }
        Ok(())
    }

    /// Puts something on the agenda, `after` milliseconds from now.
    pub(super) fn later(&mut self, after: u64, what: What) {
        self.number += 1;
        self.agenda.insert((self.now + after, self.number), what);
    }

    /// Notes what happened, for whoever has to understand a failure.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(format!("{:>8} {}", self.now, line()));
    }

    /// Puts a command to the ledger in the name of a coordinator that believes to lead.
    pub(super) fn propose(&mut self, by: usize, action: Action, reply: Reply) {
        let term = self.leaders[by].term;
        let delay = self.dice.between(1, 9);
        self.later(delay, What::Commit(Box::new(Proposal { by, term, action, reply })));
    }

    fn commit(&mut self, proposal: Proposal) -> Result<(), String> {
        let Proposal { by, term, action, reply } = proposal;
        let leads = self.ledger.leader == Some(by) && self.ledger.term == term;
        let majority = self.leaders.iter().filter(|leader| leader.up).count() > COORDINATORS / 2;
        if !leads || !majority {
            self.replied(by, reply, None);
            return Ok(());
        }
        let at = (self.now + 1_000_000_000).saturating_add_signed(self.leaders[by].skew);
        let before = self.ledger.state.clone();
        let outcome = self.ledger.apply(at, action.clone());
        self.tell(|| format!("{action:?} → {outcome:?}").chars().take(260).collect());
        let step = Step { before: &before, action: &action, outcome: &outcome, after: &self.ledger.state };
        self.laws.check(&step)?;
        model::check_step(&before, &self.ledger.state)?;
        if self.ledger.commands.is_multiple_of(16) {
            model::check(&self.ledger.state)?;
        }
        // It was done, but whoever asked doesn't learn it.
        let unknown = !self.healed && self.dice.permille(10);
        self.replied(by, reply, (!unknown).then_some(outcome));
        self.tell_machines(by);
        Ok(())
    }

    fn replied(&mut self, by: usize, reply: Reply, outcome: Option<Outcome>) {
        match reply {
            Reply::Nobody => {}
            Reply::Duty => {
                if outcome.is_none_or(|outcome| outcome.refusal().is_some()) {
                    self.leaders[by].scheduler = kiln_model::Scheduler::default();
                }
            }
            Reply::Session { machine, connection } => {
                if outcome.is_none() {
                    self.close(by, machine, connection);
                }
            }
            Reply::Publisher { machine, key } => {
                let connection = self.machines[machine].connection.map_or(0, |c| c.number);
                self.send_down(machine, connection, Answer::Published { key, outcome });
            }
            Reply::Client(action) => match outcome {
                Some(outcome) => {
                    if let Action::Submit { build, .. } = *action
                        && matches!(outcome, Outcome::Refused(kiln_model::Refusal::DuplicateBuild(_)))
                    {
                        self.laws.no_task_lost.promise(build);
                    }
                }
                None => self.later(1_000, What::Submit(action)),
            },
        }
    }

    /// The coordinator that believes to lead and is there, from where a client looks.
    pub(super) fn visible_leader(&self) -> Option<usize> {
        self.leaders.iter().position(|leader| leader.up && leader.leads && !leader.isolated)
    }

    fn submit(&mut self, action: Box<Action>) {
        match self.visible_leader() {
            Some(leader) => self.propose(leader, (*action).clone(), Reply::Client(action)),
            None => self.later(1_000, What::Submit(action)),
        }
    }

    fn ask(&mut self, wish: Wish) {
        let Some(leader) = self.visible_leader() else { return };
        let agents: Vec<_> = self.machines.iter().map(|machine| machine.id).collect();
        let agent = agents[self.dice.index(agents.len())];
        let builds: Vec<BuildId> = self.ledger.state.builds().keys().copied().collect();
        let action = match wish {
            Wish::Drain => Action::DrainAgent { agent },
            Wish::Undrain => Action::UndrainAgent { agent },
            Wish::Cancel if builds.is_empty() => return,
            Wish::Cancel => Action::Cancel { build: builds[self.dice.index(builds.len())] },
        };
        self.propose(leader, action, Reply::Nobody);
    }

    fn plan_submissions(&mut self) {
        for n in 0..self.dice.between(2, 9) {
            let at = self.dice.between(0, TROUBLE_MS * 3 / 4);
            let tasks = (0..self.dice.between(1, 7)).map(|_| self.new_task()).collect();
            let parallel = NonZeroU32::new(u32::try_from(self.dice.between(0, 4)).unwrap_or(0));
            let origin = Origin {
                project: format!("p{}", self.dice.between(0, 3)),
                priority: i32::try_from(self.dice.between(0, 40)).unwrap_or(0) - 20,
                fingerprint: Some(Fingerprint::of_bytes(&n.to_le_bytes())),
                ..Origin::default()
            };
            let build = BuildId::new(self.dice.uuid());
            let submit = Action::Submit { build, parallel, tasks, origin, join: false };
            self.later(at, What::Submit(Box::new(submit)));
        }
        for _ in 0..self.dice.between(0, 6) {
            let at = self.dice.between(60_000, TROUBLE_MS);
            let wish = [Wish::Cancel, Wish::Drain, Wish::Drain, Wish::Undrain][self.dice.index(4)];
            self.later(at, What::Ask(wish));
        }
    }

    fn new_task(&mut self) -> NewTask {
        let id = TaskId::new(self.dice.uuid());
        let minutes = |n: u64| Some(n * 60_000);
        let (deadline_ms, no_progress_ms) = (minutes(60), minutes(25));
        let requirements = Requirements {
            memory_mib: self.dice.between(0, 5) * 1024,
            terms: Terms { priority: 0, deadline_ms, no_progress_ms },
            ..Requirements::default()
        };
        let name = format!("t{}", id.0.simple());
        NewTask { id, plan: Fingerprint::of_bytes(name.as_bytes()), name, requirements }
    }

    /// The farm's time as a coordinator's clock shows it.
    pub(super) fn time(&self, of: usize) -> Timestamp {
        Timestamp((self.now + 1_000_000_000).saturating_add_signed(self.leaders[of].skew))
    }
}
