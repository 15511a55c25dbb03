//! The one table of components: a component exists when it has a line here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kiln_component::Factory;
use kiln_plan::{Catalog, ComponentKind};

use crate::{builder, data_source, post_processor, provisioner};

/// How to make every component that this program knows.
#[derive(Clone, Debug, Default)]
pub struct Factories {
    table: BTreeMap<ComponentKind, BTreeMap<Cow<'static, str>, Factory>>,
}

impl Factories {
    /// The components that are part of this program.
    pub fn builtin() -> Self {
        let builders = [builder::file::factory(), builder::null::factory(), builder::qemu::factory()];
        let post_processors = [
            post_processor::artifice::factory(),
            post_processor::checksum::factory(),
            post_processor::compress::factory(),
            post_processor::manifest::factory(),
            post_processor::shell_local::factory(),
        ];
        let all = builders.into_iter().chain(provisioner::factories()).chain(post_processors);
        all.chain(data_source::factories()).fold(Self::default(), Self::with)
    }

    /// Adds one; a later one of the same kind and name replaces the earlier.
    #[must_use]
    pub fn with(mut self, factory: Factory) -> Self {
        let schema = &factory.schema;
        self.table.entry(schema.kind).or_default().insert(schema.name.clone(), factory);
        self
    }

    /// The factory of a component.
    pub fn get(&self, kind: ComponentKind, name: &str) -> Option<&Factory> {
        self.table.get(&kind)?.get(name)
    }

    /// The names of all components of a kind, sorted.
    pub fn names(&self, kind: ComponentKind) -> impl Iterator<Item = &str> {
        self.table.get(&kind).into_iter().flat_map(|of_kind| of_kind.keys().map(|name| &**name))
    }

    /// The same as data: what checks, help and the coordinator go by.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            components: self.table.values().flat_map(BTreeMap::values).map(|f| f.schema.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_explained_and_told_once() {
        for component in Factories::builtin().catalog().components {
            let mut seen = std::collections::BTreeSet::new();
            for option in &component.options {
                assert!(!option.help.is_empty(), "{} {} has no help", component.name, option.name);
                assert!(seen.insert(&option.name), "{} {} stands twice", component.name, option.name);
            }
        }
    }
}
