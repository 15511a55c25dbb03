//! Attempts in processes of their own, so that a guest goes on running while the agent is restarted, updated or killed.
//!
//! ```text
//!   link ──► Hosts ──► Host ── files, then starts ──► kiln attempt DIRECTORY   [bundle], [process]
//!                        │                    │ locks it, reads the order and removes it
//!                        │◄── control.sock ──►│ wishes down, news up           [control]
//!                        │                    │ writes events/                 (crate::spool)
//!   link ◄── Reader ◄────┼──── events/ ◄──────┤
//!        ◄── outcome ◄───┘◄─ outcome.json ◄───┘ and ends
//! ```
//!
//! The life of a directory, whoever dies in between:
//!
//! ```text
//!   made ──► process alive (holds the lock) ──► process gone ──► outcome there ──► published, told ──► forgotten: removed
//!                 ▲      │                        │ without an outcome: it broke off, what it left
//!      a later ───┘      └ nobody connected       │ is taken back by its journal
//!      daemon connects     for HOLD_OUT: ends     ▼
//! ```
//!
//! The lock on the directory's `lock` file, and not a process number, tells whether the process lives. The order holds
//! secrets; it is on the disk only until the process has read it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_plan::event::TaskOutcome;
use kiln_plan::{Failure, Fault};
use kiln_proto::bundle::BundleFiles;
use tokio_util::task::TaskTracker;

use crate::download::bound;
use crate::image::Publisher;
use crate::isolation::Isolation;
use crate::link::{Answer, AttemptKey, Attempts, Order, Stop, Voice};
use crate::spool::Reader;

pub mod bundle;
pub mod control;
mod host;
mod inputs;
pub mod place;
pub mod process;
mod publication;

use bundle::Bundles;
use host::{Host, Life};
use place::{About, Place, PlaceError, RestingOrder};

/// What hosted attempts need of the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kiln program.
    pub program: PathBuf,
    /// Where journals and scratch directories lie, and `attempts/` with a directory for each attempt.
    pub run_dir: PathBuf,
    /// The machine's cache.
    pub cache_dir: PathBuf,
    /// The most bytes of the cache, as far as nothing in it is in use.
    pub cache_limit: u64,
    /// How attempts are kept apart.
    pub isolation: Isolation,
}

/// The attempts of this machine that have processes of their own.
#[derive(Debug)]
pub struct Hosts {
    settings: Settings,
    bundles: Arc<dyn Bundles>,
    publisher: Option<Publisher>,
    tasks: TaskTracker,
    table: Mutex<BTreeMap<AttemptKey, Arc<Host>>>,
}

impl Hosts {
    /// With the attempts that an earlier daemon left in `attempts/`, to be resumed by the link. Without a publisher what
    /// attempts make stays on this machine.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn find(
        settings: Settings,
        bundles: Arc<dyn Bundles>,
        publisher: Option<Publisher>,
    ) -> Result<Arc<Self>, PlaceError> {
        let places = Place::all(&settings.run_dir)?;
        let mut table = BTreeMap::new();
        for (place, about) in places {
            let key = about.key();
            tracing::info!(task = %key.task, epoch = %key.epoch, "an attempt is here from before");
            table.insert(key, Arc::new(Host::new(key, place, settings.run_dir.clone())));
        }
        let (tasks, table) = (TaskTracker::new(), Mutex::new(table));
        Ok(Arc::new(Self { settings, bundles, publisher, tasks, table }))
    }

    /// How many attempts there are.
    pub fn count(&self) -> usize {
        self.table().len()
    }

    /// Waits until what ended is cleared up.
    pub async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends all that is under way, and lets it be told as this machine's doing.
    pub fn end_all(&self) {
        self.table().values().for_each(|host| host.leave());
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Arc<Host>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, key: AttemptKey) -> Option<Arc<Host>> {
        self.table().get(&key).cloned()
    }

    /// Prepares everything that a new attempt's process will read, and starts it.
    async fn begin(self: Arc<Self>, place: &Place, order: Order) -> Result<Life, Failure> {
        let files = match order.plan.bundle {
            Some(digest) => Some(bundle::fetch(&*self.bundles, order.attempt, digest).await?),
            None => None,
        };
        let (hosts, own_place) = (Arc::clone(&self), place.clone());
        let prepared = tokio::task::spawn_blocking(move || hosts.prepare(&own_place, order, files)).await;
        let internal = |_| Failure::new(Fault::Machine, "internal error while an attempt was prepared");
        prepared.map_err(internal)?.map_err(|error| Failure::from_error(Fault::Machine, &error))?;
        Life::start(&self.settings.program, place)
    }

    fn prepare(&self, place: &Place, order: Order, files: Option<BundleFiles>) -> Result<(), PlaceError> {
        place.make(&About::of(&order, files.as_ref()))?;
        let (plan, working_dir) = match files {
            Some(files) => {
                place.lay_out(&files)?;
                let plan = bundle::moved(&order.plan, &place.work());
                let working_dir = PathBuf::from(&plan.facts.working_dir);
                (plan, working_dir)
            }
            None => (order.plan, place.work()),
        };
        place.write_order(&RestingOrder {
            format: place::FORMAT,
            working_dir,
            cache_dir: self.settings.cache_dir.clone(),
            run_dir: self.settings.run_dir.clone(),
            isolation: self.settings.isolation.clone(),
            plan,
        })
    }
}

/// What the link gives its orders to.
#[derive(Clone, Debug)]
pub struct HostedHands(pub Arc<Hosts>);

impl Attempts for HostedHands {
    fn start(&self, order: Order, voice: Voice) {
        let hosts = Arc::clone(&self.0);
        let key = order.attempt;
        let place = Place::of(&hosts.settings.run_dir, key);
        let host = Arc::new(Host::new(key, place.clone(), hosts.settings.run_dir.clone()));
        hosts.table().insert(key, Arc::clone(&host));
        let tasks = hosts.tasks.clone();
        tasks.spawn(async move {
            let first = order.first_sequence;
            let begun = tokio::select! {
                begun = Arc::clone(&hosts).begin(&place, order) => begun,
                () = host.stopped() => Err(Failure::cancelled()),
            };
            match begun {
                Ok(life) => {
                    voice.keep_events_in(Box::new(Reader::starting(&place.events(), first)));
                    host.attend(life, voice, hosts.publisher.as_ref()).await;
                }
                Err(failure) if failure.cancelled => voice.finish(TaskOutcome::Cancelled),
                Err(failure) => voice.finish(TaskOutcome::Failed { failure }),
            }
        });
    }

    fn stop(&self, attempt: AttemptKey, _why: Stop) {
        if let Some(host) = self.0.host(attempt) {
            host.stop();
        }
    }

    fn answer(&self, attempt: AttemptKey, answer: Answer) {
        if let Some(host) = self.0.host(attempt) {
            host.answer(answer);
        }
    }

    fn found(&self) -> Vec<AttemptKey> {
        self.0.table().keys().copied().collect()
    }

    fn resume(&self, attempt: AttemptKey, voice: Voice) {
        let Some(host) = self.0.host(attempt) else { return };
        voice.keep_events_in(Box::new(host.place().reader()));
        let hosts = Arc::clone(&self.0);
        let tasks = hosts.tasks.clone();
        tasks.spawn(async move { host.attend(Life::adopted(), voice, hosts.publisher.as_ref()).await });
    }

    fn forget(&self, attempt: AttemptKey) {
        let Some(host) = self.0.table().remove(&attempt) else { return };
        let (place, settings) = (host.place().clone(), self.0.settings.clone());
        self.0.tasks.spawn_blocking(move || {
            if let Err(error) = place.remove() {
                tracing::warn!(%error, "an attempt's directory stays");
            }
            if let Err(error) = bound::trim(&settings.cache_dir, settings.cache_limit) {
                tracing::warn!(%error, "the cache can't be kept within its bound");
            }
        });
    }
}

#[cfg(test)]
mod tests;
