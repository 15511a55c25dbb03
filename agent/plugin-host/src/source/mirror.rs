//! A mirror: the files of releases on a web server or in a directory, for sites without a way to the world.
//!
//! ```text
//!  <mirror>/github.com/hashicorp/amazon/index.json                    {"versions": {"1.8.2": {}}}; web servers only
//!  <mirror>/github.com/hashicorp/amazon/1.8.2/packer-plugin-amazon_1.8.2_SHA256SUMS
//!  <mirror>/github.com/hashicorp/amazon/1.8.2/packer-plugin-amazon_1.8.2_manifest.json
//!  <mirror>/github.com/hashicorp/amazon/1.8.2/packer-plugin-amazon_1.8.2_linux_amd64.zip
//! ```
//!
//! A version's directory is called as the index calls it, with `v` or without. The files keep the names that they have
//! on GitHub or on releases.hashicorp.com; both will do. Sources of any host can be mirrored.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use kiln_plan::{PluginSource, Version};
use reqwest::Url;

use super::client::{Client, shown};
use super::release_files::{self, Index, Style};
use super::release_site::joined;
use super::{Archive, ReleaseError, Releases, Watch};
use crate::store::StageError;

/// A mirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Server(Url),
    Directory(PathBuf),
}

/// Why a text names no mirror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Neither.
    #[error(
        "KILN_PLUGIN_MIRROR is {0:?}, which is neither an http(s) URL nor an absolute path of a directory"
    )]
    Unusable(String),
    /// There is no such directory.
    #[error("KILN_PLUGIN_MIRROR is {0:?}, but there is no such directory")]
    Missing(String),
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let directory = |path: PathBuf| match path.is_dir() {
            true => Ok(Self { place: Place::Directory(path) }),
            false => Err(MirrorError::Missing(text.to_owned())),
        };
        if Path::new(text).is_absolute() {
            return directory(text.into());
        }
        let url = Url::parse(text).ok();
        let unusable = || match &url {
            // It may hold a password.
            Some(url) => MirrorError::Unusable(shown(url)),
            None => MirrorError::Unusable(text.to_owned()),
        };
        match url.as_ref().map(Url::scheme) {
            Some("http" | "https") => Ok(Self { place: Place::Server(url.clone().ok_or_else(unusable)?) }),
            Some("file") => directory(url.as_ref().and_then(|u| u.to_file_path().ok()).ok_or_else(unusable)?),
            _ => Err(unusable()),
        }
    }
}

impl Mirror {
    /// A text of the mirror.
    async fn text(&self, plugin: &PluginSource, parts: &[&str]) -> Result<String, ReleaseError> {
        match &self.place {
            Place::Server(base) => {
                let url = address(base, plugin, parts);
                Client::new()?.text(&url, None).await.map(|text| text.body)
            }
            Place::Directory(top) => {
                let path = file(top, plugin, parts);
                tokio::fs::read_to_string(&path).await.map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => ReleaseError::NotFound(path.display().to_string()),
                    _ => ReleaseError::Read { path, source },
                })
            }
        }
    }

    /// How the mirror calls its versions' directories, and which versions they are.
    async fn directories(&self, plugin: &PluginSource) -> Result<Vec<(String, Version)>, ReleaseError> {
        match &self.place {
            Place::Server(base) => {
                let what = shown(&address(base, plugin, &["index.json"]));
                let text = self.text(plugin, &["index.json"]).await?;
                Ok(Index::read(&text, &what)?.versions().collect())
            }
            Place::Directory(top) => {
                let path = file(top, plugin, &[]);
                let entries = std::fs::read_dir(&path).map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => ReleaseError::NotFound(path.display().to_string()),
                    _ => ReleaseError::Read { path: path.clone(), source },
                })?;
                let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
                Ok(names.filter_map(|name| Some((name.clone(), name.parse().ok()?))).collect())
            }
        }
    }

    /// How the mirror calls a version's directory.
    async fn directory_of(&self, plugin: &PluginSource, version: &Version) -> Result<String, ReleaseError> {
        let directories = self.directories(plugin).await?;
        let found = directories.into_iter().find(|(_, v)| v == version);
        found
            .map(|(name, _)| name)
            .ok_or_else(|| ReleaseError::NotFound(format!("version {version} of {plugin}")))
    }
}

fn address(base: &Url, plugin: &PluginSource, parts: &[&str]) -> Url {
    let source: Vec<&str> = plugin.as_str().split('/').collect();
    joined(&joined(base, &source), parts)
}

fn file(top: &Path, plugin: &PluginSource, parts: &[&str]) -> PathBuf {
    parts.iter().fold(top.join(plugin.as_str()), |path, part| path.join(part))
}

#[async_trait]
impl Releases for Mirror {
    fn place(&self) -> String {
        match &self.place {
            Place::Server(base) => format!("the mirror {}", shown(base).trim_end_matches('/')),
            Place::Directory(top) => format!("the mirror {}", top.display()),
        }
    }

    fn may_have(&self, _plugin: &PluginSource) -> bool {
        true
    }

    async fn versions(&self, plugin: &PluginSource) -> Result<Vec<Version>, ReleaseError> {
        Ok(self.directories(plugin).await?.into_iter().map(|(_, version)| version).collect())
    }

    async fn archives(&self, plugin: &PluginSource, version: &Version) -> Result<Vec<Archive>, ReleaseError> {
        let directory = self.directory_of(plugin, version).await?;
        match self.text(plugin, &[&directory, &Style::GitHub.sums(plugin, version)]).await {
            Ok(sums) => return Ok(release_files::archives(&sums, plugin, version, None)),
            Err(ReleaseError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let style = Style::ReleaseSite;
        let sums = self.text(plugin, &[&directory, &style.sums(plugin, version)]).await?;
        let manifest = style.manifest(plugin, version);
        let text = self.text(plugin, &[&directory, &manifest]).await?;
        let protocol = release_files::protocol(&text, &manifest)?;
        Ok(release_files::archives(&sums, plugin, version, Some(protocol)))
    }

    async fn fetch(
        &self,
        plugin: &PluginSource,
        archive: &Archive,
        to: &Path,
        watch: &dyn Watch,
    ) -> Result<(), ReleaseError> {
        let directory = self.directory_of(plugin, &archive.program.version).await?;
        let parts = [directory.as_str(), &archive.file];
        match &self.place {
            Place::Server(base) => Client::new()?.file(&address(base, plugin, &parts), to, watch).await,
            Place::Directory(top) => copy(&file(top, plugin, &parts), to).await,
        }
    }
}

async fn copy(from: &Path, to: &Path) -> Result<(), ReleaseError> {
    let mut source = tokio::fs::File::open(from).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ReleaseError::NotFound(from.display().to_string()),
        _ => ReleaseError::Read { path: from.to_owned(), source },
    })?;
    let written = |source| StageError::new("write", to, source);
    let mut target = tokio::fs::File::create(to).await.map_err(written)?;
    tokio::io::copy(&mut source, &mut target).await.map_err(written)?;
    target.sync_all().await.map_err(written)?;
    Ok(())
}
