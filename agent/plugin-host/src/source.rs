//! Where plug-ins can be had: one trait, and who implements it.
//!
//! | place | when |
//! |---|---|
//! | a mirror: a URL or a directory | `KILN_PLUGIN_MIRROR` is set; then nothing else is asked |
//! | `releases.hashicorp.com` | the source is `github.com/hashicorp/…` |
//! | GitHub's releases | the source is `github.com/…`, and the place before it failed |

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kiln_plan::{PluginSource, Sensitive, Version};

use crate::file_name::PluginFileName;
use crate::platform::Platform;

mod client;
mod github;
mod mirror;
mod release_files;
mod release_site;

pub use github::GitHub;
pub use mirror::{Mirror, MirrorError};
pub use release_site::ReleaseSite;

/// The variable that names a mirror.
pub const MIRROR: &str = "KILN_PLUGIN_MIRROR";

/// The variable that holds a token for GitHub.
pub const GITHUB_TOKEN: &str = "PACKER_GITHUB_API_TOKEN";

/// A place that plug-ins are released at.
#[async_trait]
pub trait Releases: fmt::Debug + Send + Sync {
    /// What people call it.
    fn place(&self) -> String;

    /// Whether plug-ins of that source can be there at all.
    fn may_have(&self, plugin: &PluginSource) -> bool;

    /// The versions that there are, in any order.
    ///
    /// # Errors
    /// When they can't be learned.
    async fn versions(&self, plugin: &PluginSource) -> Result<Vec<Version>, ReleaseError>;

    /// The archives of a version, for all platforms.
    ///
    /// # Errors
    /// [`ReleaseError::NotFound`] when the version has no list of checksums; anything else when it can't be learned.
    async fn archives(&self, plugin: &PluginSource, version: &Version) -> Result<Vec<Archive>, ReleaseError>;

    /// Brings an archive to the file `to`. What comes isn't verified.
    ///
    /// # Errors
    /// When it doesn't come whole, is too big, or can't be written.
    async fn fetch(
        &self,
        plugin: &PluginSource,
        archive: &Archive,
        to: &Path,
        watch: &dyn Watch,
    ) -> Result<(), ReleaseError>;
}

/// Hears how far a transfer has come.
pub trait Watch: Send + Sync {
    /// `done` bytes of the file `label` are here, of `total` if that is known.
    fn progress(&self, label: &str, done: u64, total: Option<u64>);
}

/// Hears nothing.
impl Watch for () {
    fn progress(&self, _label: &str, _done: u64, _total: Option<u64>) {}
}

/// A zip archive of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its file name.
    pub file: String,
    /// What it must hash to, in lower-case hexadecimal.
    pub sha256: String,
    /// The program that is in it.
    pub program: PluginFileName,
}

impl Archive {
    /// Whether it can be used here.
    pub fn fits(&self, platform: &Platform) -> bool {
        self.program.platform == *platform && self.program.api.is_usable()
    }
}

/// Why a place of releases doesn't give what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It isn't there.
    #[error("there is no {0}")]
    NotFound(String),
    /// The server said no.
    #[error("the server answered {status} to {url}")]
    Refused {
        /// What was asked for, without passwords.
        url: String,
        /// What it said.
        status: u16,
    },
    /// GitHub has been asked too often.
    #[error("GitHub answers no more requests from here {until}{advice}", advice = if *.with_token {
        "; wait, or use another token in PACKER_GITHUB_API_TOKEN"
    } else {
        "; wait, or set PACKER_GITHUB_API_TOKEN to a token of yours, which is allowed more"
    })]
    RateLimited {
        /// Until when: `until 13:05 UTC`.
        until: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// No connection, or it broke.
    #[error("cannot get {url}")]
    Network {
        /// What was asked for, without passwords.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It ended too early, time and again.
    #[error("{url} ended after {had} of {of} bytes")]
    Cut {
        /// What was asked for, without passwords.
        url: String,
        /// Bytes that came.
        had: u64,
        /// Bytes that were promised.
        of: u64,
    },
    /// It takes for ever.
    #[error("{url} didn't come within {minutes} minutes")]
    TooSlow {
        /// What was asked for, without passwords.
        url: String,
        /// How long was waited.
        minutes: u64,
    },
    /// It is too big.
    #[error("{what} has more than {limit} bytes, so it is refused")]
    TooBig {
        /// What was asked for, without passwords.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// What came makes no sense.
    #[error("{what} can't be understood")]
    Nonsense {
        /// What was asked for, without passwords.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the mirror can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What comes can't be written.
    #[error(transparent)]
    Write(#[from] crate::store::StageError),
    /// There is no way to speak HTTP on this machine.
    #[error("cannot set up HTTP")]
    Setup(#[source] reqwest::Error),
}

/// The places that the environment asks for, in the order in which they are tried.
///
/// # Errors
/// When `KILN_PLUGIN_MIRROR` names no mirror.
pub fn from_environment(
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Arc<dyn Releases>>, MirrorError> {
    let text = |name| variable(name).filter(|v| !v.is_empty()).map(|v| v.to_string_lossy().into_owned());
    if let Some(mirror) = text(MIRROR) {
        return Ok(vec![Arc::new(mirror.parse::<Mirror>()?)]);
    }
    let token = text(GITHUB_TOKEN).map(Sensitive::new);
    Ok(vec![Arc::new(ReleaseSite::default()), Arc::new(GitHub::new(token))])
}
