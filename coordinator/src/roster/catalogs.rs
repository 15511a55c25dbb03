//! The catalogs of those who are here. Ten thousand agents of one version bring ten thousand equal ones: each is kept once,
//! and what all of them offer together is put together only when a new one comes or the last of its kind goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_plan::Catalog;

/// Different catalogs, with how many agents brought each.
#[derive(Debug, Default)]
pub(super) struct Catalogs {
    kept: Vec<(Arc<Catalog>, usize)>,
    merged: Option<Arc<Catalog>>,
}

impl Catalogs {
    /// Takes the catalog of an agent that came, and returns the one that it shares with others.
    pub(super) fn share(&mut self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        if let Some((kept, count)) =
            self.kept.iter_mut().find(|(kept, _)| Arc::ptr_eq(kept, &catalog) || *kept == catalog)
        {
            *count += 1;
            return Arc::clone(kept);
        }
        self.kept.push((Arc::clone(&catalog), 1));
        self.merged = None;
        catalog
    }

    /// An agent with this catalog went.
    pub(super) fn give_back(&mut self, catalog: &Arc<Catalog>) {
        let Some(place) = self.kept.iter().position(|(kept, _)| Arc::ptr_eq(kept, catalog)) else { return };
        self.kept[place].1 -= 1;
        if self.kept[place].1 == 0 {
            self.kept.swap_remove(place);
            self.merged = None;
        }
    }

    /// All that differ.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        self.kept.iter().map(|(catalog, _)| catalog)
    }

    /// Every component of any of them; of those that bear one name, one. `None` when nobody is here.
    pub(super) fn merged(&mut self) -> Option<Arc<Catalog>> {
        if self.kept.is_empty() {
            return None;
        }
        let kept = &self.kept;
        let merge = || {
            let all = kept.iter().flat_map(|(catalog, _)| &catalog.components);
            let merged: BTreeMap<_, _> =
                all.map(|component| ((component.kind, component.name.clone()), component)).collect();
            Arc::new(Catalog { components: merged.into_values().cloned().collect() })
        };
        Some(Arc::clone(self.merged.get_or_insert_with(merge)))
    }
}
