//! `kiln agent` as a farm's operator knows it: the real program and real attempts, before a coordinator that does what the
//! test says.

#[path = "farm/coordinator.rs"]
mod coordinator;
#[path = "farm/ending.rs"]
mod ending;
#[path = "farm/plans.rs"]
mod plans;
#[path = "farm/restarting.rs"]
mod restarting;

use std::path::PathBuf;
use std::time::Duration;

use kiln_tests::program::{Place, Running};
use kiln_tests::wait;

use coordinator::Coordinator;

/// Nothing in these tests takes as long as this, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A place to run an agent in, and its coordinator.
struct Farm {
    place: Place,
    coordinator: Coordinator,
}

impl Farm {
    fn new() -> Self {
        let place = Place::new(env!("CARGO_BIN_EXE_kiln"));
        let coordinator = Coordinator::at(&place.home().join("farm.sock"));
        Self { place, coordinator }
    }

    fn run_dir(&self) -> PathBuf {
        self.place.home().join("run")
    }

    /// Starts the agent.
    fn agent(&self) -> Running {
        let farm = format!("unix:{}", self.place.home().join("farm.sock").display());
        let run_dir = self.run_dir().display().to_string();
        self.place.start(["agent", "-farm", &farm, "-name", "a1", "-slots", "4", "-run-directory", &run_dir])
    }

    /// The processes of attempts.
    fn attempts(&self) -> Vec<u32> {
        let all = self.place.leftovers().processes();
        let attempts = all.iter().filter(|line| line.contains(" attempt ") && line.contains("kiln"));
        attempts.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        wait::until(what, LIMIT, || condition().then_some(()));
    }

    /// Makes a file that scripts wait for.
    fn let_go(&self) {
        self.place.write("go", "");
    }

    /// Fails the test unless the agent and all attempts are gone without a trace.
    fn expect_nothing_left(&self) {
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
