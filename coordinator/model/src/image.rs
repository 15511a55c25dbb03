//! Published images, and which packs of chunks are about to be deleted. Their bytes, manifests and the index of
//! chunks lie in the object store; here is only what must be agreed on.
//!
//! ```text
//!   Publish  (the attempt's claim, collections = n) ──► visible, publications + 1
//!   Condemn  (packs that no image needs, publications = m) ──► doomed, collections + 1 ──► deleted ──► Forget
//! ```
//!
//! The two exclude each other without knowing of packs and images: whoever publishes has looked which packs are there
//! at `collections = n`, whoever condemns has looked which packs are needed at `publications = m`. When the
//! other came between, the command is refused, and its sender looks again.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, ImageId, PackId, TaskId};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

pub mod law;

/// The most bytes of an image's name.
pub const NAME_LIMIT: usize = 200;

/// The most packs that are condemned at a time, so that the command stays small.
pub const CONDEMN_LIMIT: usize = 2_000;

/// A published image. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its identifier.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// Its version under this name, from 1, never used again.
    pub version: u64,
    /// When it became visible.
    pub published: Timestamp,
    /// Bytes of its files.
    pub size: u64,
    /// How many files.
    pub files: u32,
    /// The project of the build that made it.
    #[serde(default)]
    pub project: String,
    /// The build that made it.
    pub build: BuildId,
    /// The task that made it.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Under which fencing number.
    pub epoch: Epoch,
    /// The digest of its manifest.
    pub manifest: Fingerprint,
}

/// An image to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImage {
    /// Its new identifier.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// Its version, which its manifest names already; must be the next one of the name.
    pub version: u64,
    /// Bytes of its files.
    pub size: u64,
    /// How many files.
    pub files: u32,
    /// The digest of its manifest.
    pub manifest: Fingerprint,
}

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// The agent.
    pub agent: AgentId,
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// The fencing number.
    pub epoch: Epoch,
}

/// What can be asked about images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageAction {
    /// Make an image visible. All its chunks were seen in the store.
    Publish {
        /// Who asks.
        by: Publisher,
        /// The image.
        image: NewImage,
        /// [`Images::collections`] before it was looked whether its packs are there.
        collections: u64,
    },
    /// Take an image away.
    Delete {
        /// Which.
        image: ImageId,
    },
    /// Say that packs are about to be deleted.
    Condemn {
        /// Which. No image needs them.
        packs: Vec<PackId>,
        /// [`Images::publications`] before it was looked what images need.
        publications: u64,
    },
    /// Say that packs are deleted.
    Forget {
        /// Which.
        packs: Vec<PackId>,
    },
}

/// Why something about images was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ImageRefusal {
    /// The publisher's lease ran out; it may get it back.
    #[error("the lease of task {0} has run out")]
    LeaseExpired(TaskId),
    /// No such image.
    #[error("image {0} is not known; it may have been deleted")]
    Unknown(ImageId),
    /// The identifier is taken.
    #[error("image {0} was published before")]
    Duplicate(ImageId),
    /// The name can't be one.
    #[error("{0:?} is no name for an image: letters, digits, and . _ - / between them, at most {NAME_LIMIT}")]
    Name(String),
    /// Another image was published under this name meanwhile.
    #[error("the next version of {name} is {next}, not {given}")]
    Version {
        /// The name.
        name: String,
        /// What was thought to be next.
        given: u64,
        /// What is.
        next: u64,
    },
    /// Packs were condemned or forgotten meanwhile: look again.
    #[error("packs were deleted meanwhile; look again whether all are there")]
    Collected,
    /// Images were published meanwhile: look again.
    #[error("images were published meanwhile; look again what they need")]
    Published,
    /// Too many at once.
    #[error("{0} packs are more than {CONDEMN_LIMIT} at a time")]
    TooMany(usize),
}

/// All images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    pub(crate) by_id: BTreeMap<ImageId, Image>,
    /// The latest version of each name, also of images that are gone.
    pub(crate) versions: BTreeMap<String, u64>,
    /// What tasks published that are not forgotten.
    pub(crate) by_task: BTreeMap<TaskId, Image>,
    pub(crate) publications: u64,
    pub(crate) collections: u64,
    pub(crate) doomed: BTreeSet<PackId>,
}

impl Images {
    /// The visible images.
    pub const fn visible(&self) -> &BTreeMap<ImageId, Image> {
        &self.by_id
    }

    /// What a task has published, even if that was deleted since.
    pub fn of_task(&self, task: TaskId) -> Option<&Image> {
        self.by_task.get(&task)
    }

    /// The version that the next image of this name gets.
    pub fn next_version(&self, name: &str) -> u64 {
        self.versions.get(name).map_or(1, |last| last + 1)
    }

    /// How many images were ever published.
    pub const fn publications(&self) -> u64 {
        self.publications
    }

    /// How often packs were condemned or forgotten.
    pub const fn collections(&self) -> u64 {
        self.collections
    }

    /// Packs that are about to be deleted. Their chunks count as missing.
    pub const fn doomed(&self) -> &BTreeSet<PackId> {
        &self.doomed
    }

    /// The image that somebody means by `NAME` (its latest version), `NAME:VERSION` or an identifier.
    pub fn find(&self, text: &str) -> Option<&Image> {
        if let Ok(id) = text.parse::<ImageId>() {
            return self.by_id.get(&id);
        }
        let (name, version) = match text.rsplit_once(':') {
            Some((name, version)) => (name, Some(version.parse::<u64>().ok()?)),
            None => (text, None),
        };
        let named = self.by_id.values().filter(|image| image.name == name);
        named.filter(|image| version.is_none_or(|v| image.version == v)).max_by_key(|image| image.version)
    }
}

/// Whether this may be the name of an image.
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    name.len() <= NAME_LIMIT && name.split('/').all(part)
}
