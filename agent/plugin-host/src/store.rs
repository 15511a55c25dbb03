//! The plug-ins that are installed in one directory, by Packer's rules:
//!
//! ```text
//!  <directory>/github.com/hashicorp/amazon/packer-plugin-amazon_v1.8.2_x5.0_linux_amd64
//!  <directory>/github.com/hashicorp/amazon/packer-plugin-amazon_v1.8.2_x5.0_linux_amd64_SHA256SUM
//! ```
//!
//! A program counts when its name is in its normal form and for this machine, the checksum beside it is its own, and
//! what it says of itself fits its name. Anything else is passed over; why, [`Found::ignored`] tells.

use std::path::{Path, PathBuf};

use kiln_component::Journal;
use kiln_plan::PluginSource;
use tokio_util::sync::CancellationToken;

use crate::api_version::ApiVersion;
use crate::checksum;
use crate::describe::{self, DescribeError, Description};
use crate::file_name::{FileNameError, PluginFileName};
use crate::platform::Platform;
use crate::requirement::Requirement;

mod removal;
mod staging;
#[cfg(test)]
mod tests;
pub mod tree;

pub use removal::RemoveError;
pub use staging::{StageError, Staging};

/// The plug-ins of one directory.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
    platform: Platform,
    journal: Journal,
    cancel: CancellationToken,
}

/// A plug-in that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its program.
    pub path: PathBuf,
    /// What its name tells.
    pub file: PluginFileName,
    /// What it says of itself.
    pub description: Description,
}

/// Which plug-ins are looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    wanted: Option<&'a Requirement>,
    releases_only: bool,
    any_protocol: bool,
}

impl<'a> Query<'a> {
    /// All plug-ins.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those that fulfil a requirement.
    pub fn of(requirement: &'a Requirement) -> Self {
        Self { wanted: Some(requirement), ..Self::default() }
    }

    /// No `-dev` ones.
    #[must_use]
    pub fn releases_only(self) -> Self {
        Self { releases_only: true, ..self }
    }

    /// Even those that this program can't talk with.
    #[must_use]
    pub fn any_protocol(self) -> Self {
        Self { any_protocol: true, ..self }
    }
}

/// What a search has found.
#[derive(Debug, Default)]
pub struct Found {
    /// The plug-ins by name, version and protocol: of each name the newest is the last.
    pub plugins: Vec<Installed>,
    /// Files that look like plug-ins of this machine and don't count, each with the reason.
    pub ignored: Vec<(PathBuf, Unfit)>,
}

impl Found {
    /// In words, a line each, which files were passed over and why; each line begins with a line break.
    pub fn passed_over(&self) -> String {
        let line = |(path, unfit): &(PathBuf, Unfit)| {
            format!("\n  passed over: {}: {}", path.display(), kiln_plan::fault::chain(unfit))
        };
        self.ignored.iter().map(line).collect()
    }
}

/// Why a file that looks like a plug-in doesn't count.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Its name is out of form.
    #[error(transparent)]
    Name(#[from] FileNameError),
    /// A prerelease other than `-dev`.
    #[error("{0:?} is neither a release nor a -dev version")]
    Prerelease(String),
    /// There is no checksum beside it.
    #[error("there is no readable checksum beside it, in a file of its name with _SHA256SUM behind it")]
    NoChecksum(#[source] std::io::Error),
    /// What lies beside it is no checksum.
    #[error("what lies beside it is not a SHA-256 of 64 hexadecimal digits")]
    NotAChecksum,
    /// It can't be read.
    #[error("it can't be read")]
    Read(#[source] std::io::Error),
    /// It isn't what the checksum is of.
    #[error("its checksum is {is}, but {should_be} lies beside it")]
    Checksum {
        /// What it is.
        is: String,
        /// What lies beside it.
        should_be: String,
    },
    /// It doesn't describe itself.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// It says that it is another version.
    #[error("it says that it is version {0}")]
    OtherVersion(String),
    /// It says that it speaks another protocol.
    #[error("it says that it speaks protocol {0}")]
    OtherProtocol(ApiVersion),
    /// This program can't talk with it.
    #[error("it speaks protocol {0}, this program speaks {host}", host = ApiVersion::HOST)]
    Protocol(ApiVersion),
}

impl Store {
    /// The plug-ins in `directory`, which need not exist. Plug-ins are run to be described: in `journal` they are
    /// written down, by `cancel` they are stopped.
    pub fn new(directory: PathBuf, journal: Journal, cancel: CancellationToken) -> Self {
        Self { directory, platform: Platform::current(), journal, cancel }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What its plug-ins run on.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Where plug-ins from a source lie.
    pub fn directory_of(&self, source: &PluginSource) -> PathBuf {
        self.directory.join(source.as_str())
    }

    /// Looks for plug-ins. Reads and runs each one that its name doesn't rule out.
    ///
    /// # Errors
    /// When the directory is there but can't be read.
    pub async fn find(&self, query: Query<'_>) -> Result<Found, tree::TreeError> {
        let (directory, platform) = (self.directory.clone(), self.platform.clone());
        let source = query.wanted.map(|wanted| wanted.source.clone());
        let listed = tokio::task::spawn_blocking(move || match source {
            Some(source) => tree::of_source(&directory, &source, &platform),
            None => tree::all(&directory, &platform),
        });
        let files = listed.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let mut found = Found::default();
        for path in files {
            match self.look_at(&path, query).await {
                Ok(Some(plugin)) => found.plugins.push(plugin),
                Ok(None) => {}
                Err(unfit) => {
                    let reason = kiln_plan::fault::chain(&unfit);
                    tracing::info!(file = %path.display(), reason, "a file in the plug-in directory is passed over");
                    found.ignored.push((path, unfit));
                }
            }
        }
        found.plugins.sort_by(|a, b| {
            let key = |p: &Installed| (p.file.name.clone(), p.file.version.clone(), p.file.api);
            key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
        });
        Ok(found)
    }

    /// The plug-in in a file; nothing when it is a good one that isn't looked for.
    async fn look_at(&self, path: &Path, query: Query<'_>) -> Result<Option<Installed>, Unfit> {
        let file = PluginFileName::parse(&path.file_name().unwrap_or_default().to_string_lossy())?;
        let prerelease = file.version.prerelease();
        if !matches!(prerelease, "" | "dev") {
            return Err(Unfit::Prerelease(file.version.canonical()));
        }
        let ruled_out = (query.releases_only && !prerelease.is_empty())
            || query.wanted.is_some_and(|wanted| !wanted.allows(&file.version));
        if ruled_out {
            return Ok(None);
        }
        verify(path).await?;
        let description = describe::describe(path, &self.journal, &self.cancel).await?;
        if description.version()? != file.version {
            return Err(Unfit::OtherVersion(description.version));
        }
        let api = description.api()?;
        if api != file.api {
            return Err(Unfit::OtherProtocol(api));
        }
        if !api.is_usable() && !query.any_protocol {
            return Err(Unfit::Protocol(api));
        }
        Ok(Some(Installed { path: path.to_owned(), file, description }))
    }

    /// Asks a program that isn't in the store to describe itself.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn describe(&self, program: &Path) -> Result<Description, DescribeError> {
        describe::describe(program, &self.journal, &self.cancel).await
    }
}

/// Compares a program with the checksum beside it.
async fn verify(path: &Path) -> Result<(), Unfit> {
    let path = path.to_owned();
    let compared = tokio::task::spawn_blocking(move || {
        let should_be = checksum::expected(&path).map_err(Unfit::NoChecksum)?.ok_or(Unfit::NotAChecksum)?;
        let is = checksum::sha256(&path).map_err(Unfit::Read)?;
        if is == should_be { Ok(()) } else { Err(Unfit::Checksum { is, should_be }) }
    });
    compared.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
