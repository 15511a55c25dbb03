//! What goes wrong: coordinators crash and are cut off, machines crash and restart, networks fail in one direction or both.

use super::leader::BELIEF_MS;
use super::world::{Deed, What, World};

/// What goes wrong, or right again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// A coordinator dies.
    CoordinatorCrash,
    /// It is back.
    CoordinatorBack(usize),
    /// The leader is cut off from the others, though not from all machines.
    Isolate,
    /// It notices that it doesn't lead any more.
    Deposed(usize, u64),
    /// It is reachable again.
    Rejoin(usize),
    /// Those who are left choose a leader, if there is none.
    Elect,
    /// A machine dies with its guests.
    MachineCrash,
    /// An agent's daemon restarts.
    DaemonRestart,
    /// It is back.
    MachineBack(usize),
    /// Nothing of a machine gets out, or nothing gets in, or neither.
    Cut,
}

impl World {
    /// Plans what goes wrong until so many milliseconds have passed.
    pub(super) fn plan_trouble(&mut self, until: u64) {
        for _ in 0..self.dice.between(3, 25) {
            let at = self.dice.between(1_000, until);
            let kinds = [
                Trouble::CoordinatorCrash,
                Trouble::Isolate,
                Trouble::MachineCrash,
                Trouble::DaemonRestart,
                Trouble::Cut,
                Trouble::Cut,
                Trouble::Cut,
            ];
            let kind = kinds[self.dice.index(kinds.len())];
            self.later(at, What::Trouble(kind));
        }
        // A leader that is lost without anybody noticing would never be replaced.
        for at in (0..until + 20_000).step_by(5_000) {
            self.later(at, What::Trouble(Trouble::Elect));
        }
    }

    pub(super) fn befall(&mut self, trouble: Trouble) {
        let planned = !matches!(
            trouble,
            Trouble::CoordinatorBack(_)
                | Trouble::Deposed(..)
                | Trouble::Rejoin(_)
                | Trouble::Elect
                | Trouble::MachineBack(_)
        );
        if planned && self.healed {
            return;
        }
        if !matches!(trouble, Trouble::Elect) {
            self.tell(|| format!("{trouble:?}"));
        }
        match trouble {
            Trouble::CoordinatorCrash => {
                let of = self.dice.index(self.leaders.len());
                self.coordinator_dies(of);
            }
            Trouble::CoordinatorBack(of) => self.leaders[of].up = true,
            Trouble::Isolate => self.isolate(),
            Trouble::Deposed(of, term) => {
                if self.leaders[of].term == term && self.leaders[of].leads {
                    self.leaders[of].forget();
                }
            }
            Trouble::Rejoin(of) => self.leaders[of].isolated = false,
            Trouble::Elect => {
                if self.ledger.leader.is_none() {
                    self.elect();
                }
            }
            Trouble::MachineCrash => {
                let of = self.dice.index(self.machines.len());
                self.machines[of].crash();
                let away = self.dice.between(1_000, 900_000);
                self.later(away, What::Trouble(Trouble::MachineBack(of)));
            }
            Trouble::DaemonRestart => self.daemon_restarts(),
            Trouble::MachineBack(of) => self.machine_comes_back(of),
            Trouble::Cut => self.cut(),
        }
    }

    fn coordinator_dies(&mut self, of: usize) {
        self.leaders[of].up = false;
        self.leaders[of].forget();
        if self.ledger.leader == Some(of) {
            self.ledger.leader = None;
            let vote = self.dice.between(1_000, 4_000);
            self.later(vote, What::Trouble(Trouble::Elect));
        }
        let away = self.dice.between(2_000, 120_000);
        self.later(away, What::Trouble(Trouble::CoordinatorBack(of)));
    }

    fn isolate(&mut self) {
        let Some(of) = self.ledger.leader else { return };
        self.depose(of);
        self.leaders[of].isolated = true;
        let term = self.leaders[of].term;
        self.later(BELIEF_MS, What::Trouble(Trouble::Deposed(of, term)));
        let (vote, away) = (self.dice.between(1_000, 4_000), self.dice.between(5_000, 300_000));
        self.later(vote, What::Trouble(Trouble::Elect));
        self.later(away, What::Trouble(Trouble::Rejoin(of)));
    }

    fn daemon_restarts(&mut self) {
        let of = self.dice.index(self.machines.len());
        if !self.machines[of].up {
            return;
        }
        let found = self.machines[of].restart();
        let away = self.dice.between(500, 30_000);
        self.will(of, away, Deed::Dial);
        for key in found {
            let rest = self.dice.between(1_000, 200_000);
            self.will(of, away + rest, Deed::Built(key));
        }
    }

    fn machine_comes_back(&mut self, of: usize) {
        if !self.machines[of].up {
            self.machines[of].up = true;
            self.will(of, 10, Deed::Dial);
        }
    }

    fn cut(&mut self) {
        let of = self.dice.index(self.machines.len());
        let long = if self.dice.permille(200) { 900_000 } else { 45_000 };
        let until = self.now + self.dice.between(1_000, long);
        match self.dice.index(3) {
            0 => self.machines[of].mute = until,
            1 => self.machines[of].deaf = until,
            _ => (self.machines[of].mute, self.machines[of].deaf) = (until, until),
        }
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.tell(|| "healed".into());
        for of in 0..self.leaders.len() {
            (self.leaders[of].up, self.leaders[of].isolated) = (true, false);
        }
        if self.ledger.leader.is_none() {
            self.elect();
        }
        for of in 0..self.machines.len() {
            (self.machines[of].mute, self.machines[of].deaf) = (0, 0);
            self.machine_comes_back(of);
        }
    }
}
