//! From a requirement to an installed plug-in:
//!
//! ```text
//!  versions ─► those that will do, newest first ─► for each: sums ─► archive for this machine? ─┬─ no: the next older
//!                                                                                           │ yes
//!     counts ◄── commit ◄── describe fits? ◄── unpacked ◄── checksum fits? ◄── fetched ◄─────┘
//!                               └── another version inside: the next older
//! ```
//!
//! An older version is taken only where the newer one has nothing for this machine. A checksum that doesn't fit, or a
//! server that fails half way, ends it: nobody gets an older plug-in than he asked for by a fault on the wire.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_plan::{PluginSource, Version};

use crate::api_version::ApiVersion;
use crate::archive::{self, ArchiveError};
use crate::checksum;
use crate::describe::DescribeError;
use crate::file_name::PluginFileName;
use crate::requirement::Requirement;
use crate::source::{Archive, ReleaseError, Releases, Watch};
use crate::store::{StageError, Staging, Store};

/// Installs plug-ins into a store.
#[derive(Debug)]
pub struct Installer<'a> {
    store: &'a Store,
    places: &'a [Arc<dyn Releases>],
}

/// A plug-in that has been installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where its program lies.
    pub path: PathBuf,
    /// Its version, as its file's name has it.
    pub version: Version,
}

/// How an installation ends well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is installed now.
    Installed(Placed),
    /// The version that would be installed is there, and whole.
    WasThere(Placed),
}

/// Whether what is there is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same version isn't installed twice.
    No,
    /// It is (`-force`).
    Yes,
}

/// Why a plug-in isn't installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No place can have it.
    #[error(
        "plug-ins of {host} can't be downloaded; get the program and run: kiln plugins install --path FILE {source_text}; or offer \
         it in a mirror and set KILN_PLUGIN_MIRROR"
    )]
    NoPlace {
        /// The first part of its source.
        host: String,
        /// Its source.
        source_text: String,
    },
    /// Its versions can't be learned.
    #[error("cannot learn which versions of {plugin} there are:{}", lines(reasons))]
    Versions {
        /// The plug-in.
        plugin: PluginSource,
        /// Why, one per place.
        reasons: Vec<String>,
    },
    /// There is no version that will do.
    #[error("{place} has no release of {plugin} that fulfils {constraints:?}; it has {}", list(known))]
    NoVersion {
        /// The plug-in.
        plugin: PluginSource,
        /// What is wanted.
        constraints: String,
        /// Where.
        place: String,
        /// The releases that there are, newest first.
        known: Vec<Version>,
    },
    /// There are versions that would do, but not for this machine.
    #[error("no release of {plugin} can be used here:{}", lines(reasons))]
    NotForThisMachine {
        /// The plug-in.
        plugin: PluginSource,
        /// Why, one per version.
        reasons: Vec<String>,
    },
    /// The list of checksums or the archive can't be had.
    #[error("cannot get v{version} from {place}")]
    Fetch {
        /// Which version.
        version: String,
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: ReleaseError,
    },
    /// What came isn't what the release lists.
    #[error(
        "{file} from {place} is refused: its SHA-256 is {is}, but the release lists {should_be}; it was damaged on the way, or \
         somebody changed it"
    )]
    Checksum {
        /// The archive.
        file: String,
        /// Where it came from.
        place: String,
        /// What it is.
        is: String,
        /// What is listed.
        should_be: String,
    },
    /// The program can't be taken out of the archive.
    #[error("cannot unpack {file}")]
    Archive {
        /// The archive.
        file: String,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// The program isn't a plug-in, or not for this machine.
    #[error("{program} is no plug-in that runs on this machine")]
    Describe {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: DescribeError,
    },
    /// The program is no release.
    #[error(
        "{program} says that it is version {version:?}, which is no release; only releases are downloaded"
    )]
    Prerelease {
        /// The program.
        program: String,
        /// What it says.
        version: String,
    },
    /// The program speaks another protocol than its name tells.
    #[error("{program} says that it speaks protocol {0}; its name tells another", says)]
    Protocol {
        /// The program.
        program: String,
        /// What it says.
        says: ApiVersion,
    },
    /// A file's version is neither a release nor a `-dev` one.
    #[error("{} says that it is version {version:?}; only releases and -dev versions can be installed", path.display())]
    LocalVersion {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// A file's version isn't the one that is wanted.
    #[error("{} says that it is version {version}, which doesn't fulfil {constraints:?}", path.display())]
    LocalConstraint {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: String,
        /// What is wanted.
        constraints: String,
    },
    /// A local file can't be read.
    #[error("cannot read {}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store can't be written to.
    #[error(transparent)]
    Store(#[from] StageError),
}

/// Each on a line of its own, below what stands before.
fn lines(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("\n  {reason}")).collect()
}

fn list(versions: &[Version]) -> String {
    match versions {
        [] => "none".to_owned(),
        some => {
            let shown: Vec<String> = some.iter().take(10).map(|v| format!("v{}", v.canonical())).collect();
            let more = if some.len() > shown.len() { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        }
    }
}

/// What became of one version.
enum Try {
    Done(Outcome),
    /// Nothing for this machine; why.
    Older(String),
}

impl<'a> Installer<'a> {
    /// Installs into `store` what is released at one of `places`, asked in that order.
    pub fn new(store: &'a Store, places: &'a [Arc<dyn Releases>]) -> Self {
        Self { store, places }
    }

    /// Installs the newest release that fulfils a requirement. May be dropped at any time; then nothing has changed.
    ///
    /// # Errors
    /// When there is none, or it can't be had whole.
    pub async fn install(
        &self,
        wanted: &Requirement,
        again: Again,
        watch: &dyn Watch,
    ) -> Result<Outcome, InstallError> {
        let (place, mut known) = self.versions(&wanted.source).await?;
        known.retain(|version| !version.is_prerelease());
        known.sort();
        known.dedup();
        known.reverse();
        let good: Vec<&Version> = known.iter().filter(|v| wanted.allows(v)).collect();
        if good.is_empty() {
            return Err(InstallError::NoVersion {
                plugin: wanted.source.clone(),
                constraints: wanted.constraints(),
                place: place.place(),
                known,
            });
        }
        let mut reasons = Vec::new();
        for version in good {
            match self.try_version((&wanted.source, version), place, again, watch).await? {
                Try::Done(outcome) => return Ok(outcome),
                Try::Older(reason) => reasons.push(format!("v{}: {reason}", version.canonical())),
            }
        }
        Err(InstallError::NotForThisMachine { plugin: wanted.source.clone(), reasons })
    }

    /// The versions, of the first place that tells any.
    async fn versions(
        &self,
        plugin: &PluginSource,
    ) -> Result<(&'a Arc<dyn Releases>, Vec<Version>), InstallError> {
        let places: Vec<_> = self.places.iter().filter(|place| place.may_have(plugin)).collect();
        if places.is_empty() {
            let source_text = plugin.to_string();
            return Err(InstallError::NoPlace { host: plugin.host().to_owned(), source_text });
        }
        let mut reasons = Vec::new();
        for place in places {
            match place.versions(plugin).await {
                Ok(versions) => return Ok((place, versions)),
                Err(error) => reasons.push(format!("{}: {}", place.place(), kiln_plan::fault::chain(&error))),
            }
        }
        Err(InstallError::Versions { plugin: plugin.clone(), reasons })
    }

    async fn try_version(
        &self,
        (plugin, version): (&PluginSource, &Version),
        place: &Arc<dyn Releases>,
        again: Again,
        watch: &dyn Watch,
    ) -> Result<Try, InstallError> {
        let failed =
            |source| InstallError::Fetch { version: version.canonical(), place: place.place(), source };
        let archives = match place.archives(plugin, version).await {
            Ok(archives) => archives,
            Err(ReleaseError::NotFound(what)) => return Ok(Try::Older(format!("there is no {what}"))),
            Err(error) => return Err(failed(error)),
        };
        let platform = self.store.platform();
        let Some(archive) = archives.iter().find(|archive| archive.fits(platform)) else {
            return Ok(Try::Older(why_none(&archives, &platform.to_string())));
        };
        let target = self.store.directory_of(plugin).join(archive.program.to_string());
        if again == Again::No && is_whole(&target).await {
            return Ok(Try::Done(Outcome::WasThere(Placed { path: target, version: version.clone() })));
        }
        let staging = self.store.begin()?;
        place.fetch(plugin, archive, &staging.archive(), watch).await.map_err(failed)?;
        verify(&staging, archive, place).await?;
        unpack(&staging, archive).await?;
        let program = archive.program.to_string();
        let described =
            self.store.describe(&staging.program()).await.and_then(|d| Ok((d.version()?, d.api()?)));
        let (says, api) =
            described.map_err(|source| InstallError::Describe { program: program.clone(), source })?;
        if says.release() != version.release() {
            return Ok(Try::Older(format!("the program in it says that it is version {says}")));
        }
        if says.is_prerelease() {
            return Err(InstallError::Prerelease { program, version: says.canonical() });
        }
        if api != archive.program.api {
            return Err(InstallError::Protocol { program, says: api });
        }
        let path = self.commit(staging, plugin, archive.program.clone()).await?;
        Ok(Try::Done(Outcome::Installed(Placed { path, version: version.clone() })))
    }

    /// Installs a program that lies somewhere, as the plug-in from that source: a release or a `-dev` version.
    ///
    /// # Errors
    /// When it isn't a plug-in that runs here, or its version isn't wanted.
    pub async fn install_file(&self, file: &Path, wanted: &Requirement) -> Result<Placed, InstallError> {
        let unreadable = |source| InstallError::Local { path: file.to_owned(), source };
        // A name without a slash is a file here, not a program of PATH.
        let path = std::path::absolute(file).map_err(unreadable)?;
        let metadata = tokio::fs::metadata(&path).await.map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let staging = self.store.begin()?;
        let program = staging.program();
        let copied = tokio::fs::copy(&path, &program).await;
        copied.map_err(|source| StageError::new("write", &program, source))?;
        make_runnable(&program).map_err(|source| StageError::new("write", &program, source))?;
        let failed = |source| InstallError::Describe { program: file.display().to_string(), source };
        let described = self.store.describe(&program).await.map_err(failed)?;
        let (version, api) = (described.version().map_err(failed)?, described.api().map_err(failed)?);
        if !matches!(version.prerelease(), "" | "dev") {
            return Err(InstallError::LocalVersion { path: file.to_owned(), version: described.version });
        }
        if !wanted.allows(&version) {
            let (version, constraints) = (version.canonical(), wanted.constraints());
            return Err(InstallError::LocalConstraint { path: file.to_owned(), version, constraints });
        }
        let platform = self.store.platform().clone();
        let name =
            PluginFileName { name: wanted.source.name().to_owned(), version: version.clone(), api, platform };
        let path = self.commit(staging, &wanted.source, name).await?;
        Ok(Placed { path, version })
    }

    async fn commit(
        &self,
        staging: Staging,
        source: &PluginSource,
        file: PluginFileName,
    ) -> Result<PathBuf, StageError> {
        let (store, source) = (self.store.clone(), source.clone());
        let committed = tokio::task::spawn_blocking(move || store.commit(&staging, &source, &file));
        committed.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

fn why_none(archives: &[Archive], platform: &str) -> String {
    let here = archives.iter().find(|a| a.program.platform.to_string() == platform);
    match (here, archives) {
        (Some(archive), _) => {
            format!("it speaks protocol {}, this program speaks {}", archive.program.api, ApiVersion::HOST)
        }
        (None, []) => "its list of checksums names no archives".to_owned(),
        (None, some) => {
            let mut platforms: Vec<String> = some.iter().map(|a| a.program.platform.to_string()).collect();
            platforms.sort();
            platforms.dedup();
            format!("it is for {}, not for {platform}", platforms.join(", "))
        }
    }
}

/// Whether a plug-in lies there with the right checksum.
async fn is_whole(program: &Path) -> bool {
    let program = program.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let expected = checksum::expected(&program).ok().flatten();
        expected.is_some_and(|expected| checksum::sha256(&program).is_ok_and(|is| is == expected))
    });
    looked.await.unwrap_or(false)
}

async fn verify(staging: &Staging, archive: &Archive, place: &Arc<dyn Releases>) -> Result<(), InstallError> {
    let path = staging.archive();
    let read = |source| StageError::new("read", &staging.archive(), source);
    let summed = tokio::task::spawn_blocking(move || checksum::sha256(&path));
    let is =
        summed.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map_err(read)?;
    if is == archive.sha256 {
        return Ok(());
    }
    let should_be = archive.sha256.clone();
    Err(InstallError::Checksum { file: archive.file.clone(), place: place.place(), is, should_be })
}

async fn unpack(staging: &Staging, archive: &Archive) -> Result<(), InstallError> {
    let (from, to) = (staging.archive(), staging.program());
    let wanted = archive.program.to_string();
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&from, &wanted, &to));
    let unpacked = unpacked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    unpacked.map_err(|error| match error {
        ArchiveError::Copy { path, source } => StageError::new("write", &path, source).into(),
        source => InstallError::Archive { file: archive.file.clone(), source },
    })
}

fn make_runnable(program: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
