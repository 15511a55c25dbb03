//! The agents whose streams end here, and the components they bring. Not in the ledger: schemas are large,
//! and a stream ends with its process anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_plan::Catalog;
use kiln_plan::id::AgentId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

mod catalogs;

use self::catalogs::Catalogs;

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    here: Mutex<Here>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Here {
    connected: BTreeMap<AgentId, Connected>,
    catalogs: Catalogs,
}

#[derive(Debug)]
struct Connected {
    catalog: Arc<Catalog>,
    wake: Arc<Notify>,
    superseded: CancellationToken,
}

/// A connected agent's place; given up when dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    roster: Arc<Roster>,
    agent: AgentId,
    wake: Arc<Notify>,
    superseded: CancellationToken,
}

impl Roster {
    /// An agent is here. A stream that it had before is superseded: it is a leftover of a broken connection.
    pub(crate) fn enter(self: &Arc<Self>, agent: AgentId, catalog: Arc<Catalog>) -> Presence {
        let (superseded, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        self.with(|here| {
            let catalog = here.catalogs.share(catalog);
            let entry = Connected { catalog, wake: Arc::clone(&wake), superseded: superseded.clone() };
            if let Some(earlier) = here.connected.insert(agent, entry) {
                here.catalogs.give_back(&earlier.catalog);
                earlier.superseded.cancel();
            }
        });
        self.changed.send_replace(());
        Presence { roster: Arc::clone(self), agent, wake, superseded }
    }

    /// Wakes the streams of these agents, since what they should hold changed. Returns how many are here.
    pub(crate) fn wake(&self, agents: &[AgentId]) -> usize {
        self.with(|here| {
            let here = agents.iter().filter_map(|agent| here.connected.get(agent));
            here.map(|agent| agent.wake.notify_one()).count()
        })
    }

    /// Every component that some agent here offers; `None` when no agent is here.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.with(|here| here.catalogs.merged())
    }

    /// How many agents are here.
    pub(crate) fn count(&self) -> usize {
        self.with(|here| here.connected.len())
    }

    /// The agents here whose catalogs `suit`.
    pub(crate) fn agents_with(&self, suit: impl Fn(&Catalog) -> bool) -> Vec<AgentId> {
        self.with(|here| {
            let suiting = here.catalogs.all().filter(|catalog| suit(catalog)).collect::<Vec<_>>();
            let suits =
                |agent: &Connected| suiting.iter().any(|catalog| Arc::ptr_eq(catalog, &agent.catalog));
            here.connected.iter().filter(|(_, agent)| suits(agent)).map(|(id, _)| *id).collect()
        })
    }

    /// Tells of every coming and going.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The same, once an agent is here.
    pub(crate) async fn first_catalog(&self) -> Arc<Catalog> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(catalog) = self.catalog() {
                return catalog;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Here) -> T) -> T {
        work(&mut self.here.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Presence {
    /// Ends when what the agent should hold has changed since the last time.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Ends when the agent has come by another stream.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.roster.with(|here| {
            // Asked while nobody can enter: the place of whoever comes at this moment must stay.
            if !self.superseded.is_cancelled()
                && let Some(gone) = here.connected.remove(&self.agent)
            {
                here.catalogs.give_back(&gone.catalog);
            }
        });
        self.roster.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use kiln_plan::ComponentKind;
    use kiln_plan::schema::ComponentSchema;
    use uuid::Uuid;

    use super::*;

    fn catalog(names: &[&'static str]) -> Arc<Catalog> {
        let component = |name: &&'static str| ComponentSchema {
            kind: ComponentKind::Builder,
            name: (*name).into(),
            options: vec![],
            generated: vec![],
            answer: None,
            rules: vec![],
        };
        Arc::new(Catalog { components: names.iter().map(component).collect() })
    }

    fn offered(roster: &Roster) -> Option<Vec<String>> {
        let catalog = roster.catalog()?;
        Some(catalog.names(ComponentKind::Builder).map(str::to_owned).collect())
    }

    #[tokio::test]
    async fn the_catalog_is_what_those_bring_who_are_here() {
        let roster = Arc::new(Roster::default());
        let agent = |n| AgentId::new(Uuid::from_u128(n));
        assert_eq!(offered(&roster), None);
        let first = roster.enter(agent(1), catalog(&["null", "qemu"]));
        let second = roster.enter(agent(2), catalog(&["file", "qemu"]));
        assert_eq!(offered(&roster).unwrap(), ["file", "null", "qemu"]);
        let again = roster.enter(agent(1), catalog(&["null"]));
        first.superseded().await;
        drop((first, second));
        assert_eq!(offered(&roster).unwrap(), ["null"], "a superseded stream takes nothing with it");
        drop(again);
        assert_eq!(offered(&roster), None);
    }

    #[tokio::test]
    async fn equal_catalogs_are_kept_once_and_put_together_once() {
        let roster = Arc::new(Roster::default());
        let agent = |n| AgentId::new(Uuid::from_u128(n));
        let all: Vec<_> = (0..100).map(|n| roster.enter(agent(n), catalog(&["null"]))).collect();
        let other = roster.enter(agent(100), catalog(&["qemu"]));
        assert_eq!(roster.with(|here| here.catalogs.all().count()), 2);
        let (one, again) = (roster.catalog().unwrap(), roster.catalog().unwrap());
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(
            roster.agents_with(|catalog| catalog.get(ComponentKind::Builder, "qemu").is_some()).len(),
            1
        );
        drop(other);
        assert_eq!(offered(&roster).unwrap(), ["null"]);
        drop(all);
        assert_eq!(roster.with(|here| here.catalogs.all().count()), 0);
    }
}
