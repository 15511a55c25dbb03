//! A catalog on its way: some hundred KiB that ten thousand agents of one version bring alike, and each again whenever it
//! comes. It is written down once per agent, and read once per coordinator.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_plan::Catalog;

use crate::Bytes;
use crate::convert::{ConvertError, from_json, to_json};

/// Catalogs that are recognised when they come again: a farm has agents of few versions.
const KNOWN: usize = 8;

/// Those that came last, the latest at the end.
static LATEST: Mutex<Vec<SharedCatalog>> = Mutex::new(Vec::new());

/// A catalog with the JSON that carries it. Clones share both.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedCatalog {
    json: Bytes,
    catalog: Arc<Catalog>,
}

impl SharedCatalog {
    /// Reads a catalog, unless it is one of those that came last.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn read(json: Bytes) -> Result<Self, ConvertError> {
        let known = with_latest(|latest| latest.iter().find(|known| known.json == json).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        // Not a part of the message that it came in, which would be kept whole.
        let read =
            Self { catalog: Arc::new(from_json("catalog", &json)?), json: Bytes::copy_from_slice(&json) };
        with_latest(|latest| {
            if latest.len() >= KNOWN {
                latest.remove(0);
            }
            latest.push(read.clone());
        });
        Ok(read)
    }

    /// The JSON.
    pub(crate) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The catalog, shared with all that are equal and came lately.
    pub fn shared(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }
}

impl From<Catalog> for SharedCatalog {
    fn from(catalog: Catalog) -> Self {
        Self { json: to_json(&catalog), catalog: Arc::new(catalog) }
    }
}

impl Deref for SharedCatalog {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

fn with_latest<T>(work: impl FnOnce(&mut Vec<SharedCatalog>) -> T) -> T {
    work(&mut LATEST.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use kiln_plan::ComponentKind;
    use kiln_plan::schema::ComponentSchema;

    use super::*;

    fn catalog(name: String) -> Catalog {
        let component = ComponentSchema {
            kind: ComponentKind::Builder,
            name: name.into(),
            options: vec![],
            generated: vec![],
            answer: None,
            rules: vec![],
        };
        Catalog { components: vec![component] }
    }

    #[test]
    fn equal_catalogs_are_read_once_and_only_the_latest_are_remembered() {
        let sent = |n: usize| SharedCatalog::from(catalog(format!("remembered-{n}"))).json();
        let first = SharedCatalog::read(sent(0)).unwrap();
        assert_eq!(*first, catalog("remembered-0".into()));
        let again = SharedCatalog::read(sent(0)).unwrap();
        assert!(Arc::ptr_eq(&first.shared(), &again.shared()));
        (1..=KNOWN).for_each(|n| drop(SharedCatalog::read(sent(n)).unwrap()));
        let later = SharedCatalog::read(sent(0)).unwrap();
        assert!(!Arc::ptr_eq(&first.shared(), &later.shared()));
        assert_eq!(first, later);
        assert!(with_latest(|latest| latest.len()) <= KNOWN);
    }
}
