//! The agents whose streams end here, and the components they bring. Not in the ledger: schemas are large,
//! and a stream ends with its process anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_plan::Catalog;
use kiln_plan::id::AgentId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    connected: Mutex<BTreeMap<AgentId, Connected>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Connected {
    catalog: Catalog,
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
    pub(crate) fn enter(self: &Arc<Self>, agent: AgentId, catalog: Catalog) -> Presence {
        let (superseded, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let entry = Connected { catalog, wake: Arc::clone(&wake), superseded: superseded.clone() };
        if let Some(earlier) = self.with(|connected| connected.insert(agent, entry)) {
            earlier.superseded.cancel();
        }
        self.changed.send_replace(());
        Presence { roster: Arc::clone(self), agent, wake, superseded }
    }

    /// Wakes the streams of these agents, since what they should hold changed. Returns how many are here.
    pub(crate) fn wake(&self, agents: &[AgentId]) -> usize {
        self.with(|connected| {
            let here = agents.iter().filter_map(|agent| connected.get(agent));
            here.map(|agent| agent.wake.notify_one()).count()
        })
    }

    /// Every component that some agent here offers; `None` when no agent is here.
    pub(crate) fn catalog(&self) -> Option<Catalog> {
        self.with(|connected| {
            if connected.is_empty() {
                return None;
            }
            let all = connected.values().flat_map(|agent| &agent.catalog.components);
            let merged: BTreeMap<_, _> =
                all.map(|component| ((component.kind, component.name.clone()), component)).collect();
            Some(Catalog { components: merged.into_values().cloned().collect() })
        })
    }

    /// The agents here whose catalogs `suit`.
    pub(crate) fn agents_with(&self, suit: impl Fn(&Catalog) -> bool) -> Vec<AgentId> {
        self.with(|connected| {
            connected.iter().filter(|(_, agent)| suit(&agent.catalog)).map(|(id, _)| *id).collect()
        })
    }

    /// Tells of every coming and going.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The same, once an agent is here.
    pub(crate) async fn first_catalog(&self) -> Catalog {
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

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<AgentId, Connected>) -> T) -> T {
        work(&mut self.connected.lock().unwrap_or_else(PoisonError::into_inner))
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
        if !self.superseded.is_cancelled() {
            self.roster.with(|connected| connected.remove(&self.agent));
            self.roster.changed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_plan::ComponentKind;
    use kiln_plan::schema::ComponentSchema;
    use uuid::Uuid;

    use super::*;

    fn catalog(names: &[&'static str]) -> Catalog {
        let component = |name: &&'static str| ComponentSchema {
            kind: ComponentKind::Builder,
            name: (*name).into(),
            options: vec![],
            generated: vec![],
            answer: None,
            rules: vec![],
        };
        Catalog { components: names.iter().map(component).collect() }
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
}
