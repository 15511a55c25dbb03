//! Three coordinators, or as many as a test wants, and their directories.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kiln_coordinator::{Begin, ClusterSettings, Coordinator, Handle, Leadership, Settings, Storage};
use kiln_model::{FarmState, invariant};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::client::{Client, Plans, bounded};
use crate::wires::Wires;

/// How long a graceful stop may take.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// What a new leader may take after the old one was heard last.
pub(crate) const ELECTION: Duration = Duration::from_secs(3);

/// Coordinators that are up, and where all lie.
pub(crate) struct Trio {
    pub(crate) wires: Wires,
    places: TempDir,
    pub(crate) up: BTreeMap<u64, Handle>,
    compact_after: u64,
}

impl Trio {
    /// Three that have found together; the first leads.
    pub(crate) async fn start() -> Self {
        Self::start_with(4_096).await
    }

    /// The same, whose logs are shorter.
    pub(crate) async fn start_with(compact_after: u64) -> Self {
        let mut trio = Self::of_one(compact_after).await;
        for id in [2, 3] {
            trio.join(id).await;
        }
        trio
    }

    pub(crate) async fn of_one(compact_after: u64) -> Self {
        let places = TempDir::new().unwrap();
        let mut trio = Self { wires: Wires::default(), places, up: BTreeMap::new(), compact_after };
        trio.boot(1).await;
        trio
    }

    /// Starts a new coordinator, and has the leader add it.
    pub(crate) async fn join(&mut self, id: u64) {
        self.boot(id).await;
        let leader = self.leader().await;
        bounded(self.up[&leader].add_voter(id, &format!("coordinator-{id}"))).await.unwrap();
    }

    /// Starts a coordinator from what lies in its directory.
    pub(crate) async fn boot(&mut self, id: u64) {
        let settings = Settings {
            storage: Storage::Directory(self.place(id)),
            cluster: ClusterSettings {
                id,
                address: format!("coordinator-{id}"),
                begin: if id == 1 { Begin::Found } else { Begin::Wait },
                compact_after: self.compact_after,
                ..ClusterSettings::alone()
            },
            ..Settings::farm_of_one()
        };
        let door = self.wires.door(id);
        let started = Coordinator::start_among(settings, Arc::new(Plans), self.wires.dial(id)).await.unwrap();
        started.serve(door);
        self.up.insert(id, started);
    }

    /// All keep their plans in one place, as they would in an object store.
    fn place(&self, id: u64) -> std::path::PathBuf {
        let (shared, own) = (self.places.path().join("plans"), self.places.path().join(id.to_string()));
        std::fs::create_dir_all(&shared).unwrap();
        std::fs::create_dir_all(&own).unwrap();
        let plans = own.join("plans");
        if !Path::exists(&plans) {
            std::os::unix::fs::symlink(shared, plans).unwrap();
        }
        own
    }

    /// Stops a coordinator in an orderly way.
    pub(crate) async fn stop(&mut self, id: u64) {
        self.wires.close(id);
        bounded(self.up.remove(&id).unwrap().shut_down(GRACE)).await;
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.up.keys().copied().collect()
    }

    /// Who leads, as that one says itself, once somebody does. At no time do two.
    pub(crate) async fn leader(&self) -> u64 {
        self.leader_among(&self.ids()).await
    }

    /// The same among these.
    pub(crate) async fn leader_among(&self, ids: &[u64]) -> u64 {
        let found = async {
            loop {
                let leading = self.leading();
                assert!(leading.len() <= 1, "{leading:?} lead at the same time");
                if let Some(id) = leading.first().filter(|id| ids.contains(id)) {
                    return *id;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("somebody is elected")
    }

    /// Everyone who takes itself for the leader.
    pub(crate) fn leading(&self) -> Vec<u64> {
        let leads = |handle: &Handle| matches!(*handle.leadership().borrow(), Leadership::Leads { .. });
        self.up.iter().filter(|(_, handle)| leads(handle)).map(|(id, _)| *id).collect()
    }

    /// The others.
    pub(crate) fn others(&self, than: u64) -> Vec<u64> {
        self.ids().into_iter().filter(|id| *id != than).collect()
    }

    /// A client of one of them.
    pub(crate) async fn client(&self, id: u64) -> Client {
        Client::of(&self.up[&id]).await
    }

    /// Submits by the leader, again until it is taken.
    pub(crate) async fn submit(&self, by: u64, tasks: u64) {
        self.client(by).await.submit(tasks, 0).await;
    }

    /// Waits until all have applied the same, and checks it.
    pub(crate) async fn converge(&self) -> FarmState {
        let began = Instant::now();
        loop {
            let states: Vec<FarmState> = self.up.values().map(|handle| handle.read(Clone::clone)).collect();
            if states.windows(2).all(|two| two[0] == two[1]) {
                invariant::check(&states[0]).unwrap();
                return states[0].clone();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "they don't converge");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
