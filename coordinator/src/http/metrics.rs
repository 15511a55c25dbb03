//! What Prometheus reads. Gauges are read off the state when somebody asks, so nothing is counted twice or forgotten;
//! counters are kept where things happen.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::Coordinator;

/// A state of things, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: String,
}

/// How something ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Verdict {
    /// It was taken.
    Taken,
    /// It was refused.
    Refused,
}

impl From<bool> for Verdict {
    fn from(taken: bool) -> Self {
        if taken { Self::Taken } else { Self::Refused }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    verdict: Verdict,
}

/// What became of a build's trace, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Export {
    /// The collector has it.
    Sent,
    /// It was given up.
    Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exported {
    outcome: Export,
}

type Count = Counter<u64, AtomicU64>;

/// The counters of a coordinator.
#[derive(Debug)]
pub(crate) struct Meters {
    registry: Registry,
    agents: Family<InState, Gauge>,
    tasks: Family<InState, Gauge>,
    builds: Gauge,
    slots: Gauge,
    free_slots: Gauge,
    leads: Gauge,
    ready: Gauge,
    submissions: Family<Ended, Count>,
    assignments: Count,
    traces: Family<Exported, Count>,
    store_failures: Count,
    queue_seconds: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        let mut meters = Self {
            registry: Registry::with_prefix("kiln"),
            agents: Family::default(),
            tasks: Family::default(),
            builds: Gauge::default(),
            slots: Gauge::default(),
            free_slots: Gauge::default(),
            leads: Gauge::default(),
            ready: Gauge::default(),
            submissions: Family::default(),
            assignments: Count::default(),
            traces: Family::default(),
            store_failures: Count::default(),
            queue_seconds: Histogram::new(exponential_buckets(0.005, 4.0, 10)),
        };
        // Shown from the first moment on, so that their growth is seen.
        for verdict in [Verdict::Taken, Verdict::Refused] {
            drop(meters.submissions.get_or_create(&Ended { verdict }));
        }
        for outcome in [Export::Sent, Export::Dropped] {
            drop(meters.traces.get_or_create(&Exported { outcome }));
        }
        let r = &mut meters.registry;
        r.register("agents", "Agents by state", meters.agents.clone());
        r.register("tasks", "Tasks by state, of builds that are remembered", meters.tasks.clone());
        r.register("builds_running", "Builds under way", meters.builds.clone());
        r.register("slots", "Places for tasks at agents that take tasks", meters.slots.clone());
        r.register("slots_free", "Those of them without a task", meters.free_slots.clone());
        r.register("leader", "1 while this coordinator leads", meters.leads.clone());
        r.register("ready", "1 while this coordinator answers requests", meters.ready.clone());
        r.register("submissions", "Builds that were asked for", meters.submissions.clone());
        r.register("assignments", "Tasks that were given to agents", meters.assignments.clone());
        r.register("traces", "Traces of builds for the collector", meters.traces.clone());
        let told = "Writes of this coordinator that the object store didn't take";
        r.register("store_failures", told, meters.store_failures.clone());
        let told = "Time that tasks waited for an agent";
        r.register_with_unit("queue", told, Unit::Seconds, meters.queue_seconds.clone());
        meters
    }
}

impl Meters {
    /// A build was asked for.
    pub(crate) fn submitted(&self, verdict: Verdict) {
        self.submissions.get_or_create(&Ended { verdict }).inc();
    }

    /// A task was given to an agent after it had waited this long.
    pub(crate) fn assigned(&self, waited_seconds: f64) {
        self.assignments.inc();
        self.queue_seconds.observe(waited_seconds);
    }

    /// The trace of a build was sent, or given up.
    pub(crate) fn traced(&self, outcome: Export) {
        self.traces.get_or_create(&Exported { outcome }).inc();
    }

    /// All of it as text.
    pub(crate) fn text(&self, coordinator: &Coordinator) -> String {
        let overview = coordinator.overview();
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let states = [
            (&self.agents, &overview.agents, ["ready", "draining", "lost", "gone"].as_slice()),
            (
                &self.tasks,
                &overview.tasks,
                ["queued", "leased", "running", "succeeded", "failed", "cancelled"].as_slice(),
            ),
        ];
        for (family, counted, all) in states {
            for state in all {
                let value = counted.get(*state).copied().unwrap_or_default();
                set(&family.get_or_create(&InState { state: (*state).to_owned() }), value);
            }
        }
        set(&self.builds, overview.running_builds);
        set(&self.slots, overview.slots.all);
        set(&self.free_slots, overview.slots.free);
        set(&self.leads, u64::from(coordinator.ledger.leads()));
        set(&self.ready, u64::from(coordinator.readiness().is_ok()));
        self.store_failures.inner().store(coordinator.store.lost_writes(), Ordering::Relaxed);
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
