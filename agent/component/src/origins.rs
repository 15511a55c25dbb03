//! What goes into what a task makes, noted where it goes in: so that it can be told later what an image was made from.
//!
//! Nobody wants to know as a rule (a build on one machine), and then nothing is noted and nothing read for it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The most that is noted of each kind; what comes later is left out.
const MOST: usize = 256;

/// Something that went in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A path or an address, without secrets.
    pub name: String,
    /// As `sha256:…`; `None` when it wasn't read as a whole, or when its digest would help to guess a secret.
    pub digest: Option<String>,
    /// Bytes, when they are known.
    pub size: Option<u64>,
}

/// Everything that was noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// What guests began with: installation media, disk images, firmware.
    pub media: Vec<Origin>,
}

/// Where a task notes what goes in. Clones are the same one; by default nobody wants to know.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    noted: Option<Arc<Mutex<Noted>>>,
}

impl Origins {
    /// Notes of which somebody will make use.
    pub fn wanted() -> Self {
        Self { noted: Some(Arc::default()) }
    }

    /// Whether it is worth finding out what something is.
    pub const fn are_wanted(&self) -> bool {
        self.noted.is_some()
    }

    /// Notes what a guest begins with. The same twice counts once.
    pub fn medium(&self, origin: Origin) {
        let Some(noted) = &self.noted else { return };
        let media = &mut noted.lock().unwrap_or_else(PoisonError::into_inner).media;
        if media.len() < MOST && !media.contains(&origin) {
            media.push(origin);
        }
    }

    /// What was noted so far.
    pub fn noted(&self) -> Noted {
        let noted = self.noted.as_ref();
        noted.map(|noted| noted.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_is_noted_once_and_only_when_somebody_wants_to_know() {
        let iso = || Origin { name: "https://example.org/a.iso".into(), digest: None, size: Some(1) };
        let (wanted, unwanted) = (Origins::wanted(), Origins::default());
        for origins in [&wanted, &unwanted] {
            origins.clone().medium(iso());
            origins.medium(iso());
        }
        assert_eq!(wanted.noted().media, [iso()]);
        assert_eq!(unwanted.noted(), Noted::default());
        (0..1_000).for_each(|n| wanted.medium(Origin { size: Some(n), ..iso() }));
        assert_eq!(wanted.noted().media.len(), MOST);
    }
}
