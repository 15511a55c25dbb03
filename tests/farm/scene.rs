//! An agent's place, its coordinator, and what a test waits for.

use std::path::PathBuf;
use std::time::Duration;

use kiln_plan::BuildPlan;
use kiln_tests::program::{Place, Running};
use kiln_tests::wait;

use crate::coordinator::Coordinator;

/// Nothing in these tests takes as long as this, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// A place to run an agent in, and its coordinator.
pub(crate) struct Farm {
    pub(crate) place: Place,
    pub(crate) coordinator: Coordinator,
}

impl Farm {
    /// In a place of its own.
    pub(crate) fn new() -> Self {
        Self::at(Place::new(env!("CARGO_BIN_EXE_kiln")))
    }

    pub(crate) fn at(place: Place) -> Self {
        let coordinator = Coordinator::at(&place.home().join("farm.sock"));
        Self { place, coordinator }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.place.home().join("run")
    }

    /// Starts the agent.
    pub(crate) fn agent(&self) -> Running {
        let farm = format!("unix:{}", self.place.home().join("farm.sock").display());
        let run_dir = self.run_dir().display().to_string();
        self.place.start(["agent", "-farm", &farm, "-name", "a1", "-slots", "4", "-run-directory", &run_dir])
    }

    /// The processes of attempts.
    pub(crate) fn attempts(&self) -> Vec<u32> {
        let all = self.place.leftovers().processes();
        let attempts = all.iter().filter(|line| line.contains(" attempt ") && line.contains("kiln"));
        attempts.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
    }

    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        wait::until(what, LIMIT, || condition().then_some(()));
    }

    /// Has the first task carried out, until it says `begun`.
    pub(crate) fn begin(&self, plan: &BuildPlan) {
        self.coordinator.want(1, plan);
        self.until("the task to begin", || self.coordinator.heard(1, "begun"));
    }

    /// How the first task ends.
    pub(crate) fn end(&self) -> String {
        self.until("the task to end", || self.coordinator.end(1).is_some());
        self.coordinator.end(1).expect("it has ended")
    }

    /// Has the agent leave, with nothing left over.
    pub(crate) fn dismiss(&self, agent: Running) {
        agent.signal("TERM");
        agent.finish().expect_code(0);
        self.expect_nothing_left();
    }

    /// Makes a file that scripts wait for.
    pub(crate) fn let_go(&self) {
        self.place.write("go", "");
    }

    /// Fails the test unless the agent and all attempts are gone without a trace.
    pub(crate) fn expect_nothing_left(&self) {
        self.place.leftovers().expect_none();
        let mut left: Vec<_> = std::fs::read_dir(self.run_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        left.sort();
        left.retain(|name| name != "attempts");
        assert_eq!(left, ["agent.json"]);
        let attempts = std::fs::read_dir(self.run_dir().join("attempts")).map_or(0, Iterator::count);
        assert_eq!(attempts, 0, "directories of attempts are left");
    }
}
