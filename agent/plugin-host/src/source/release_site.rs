//! `releases.hashicorp.com`, where HashiCorp publishes its own plug-ins. Its URLs don't name a namespace, so plug-ins
//! of other people are not looked for there: a namesake of HashiCorp's would be mistaken for theirs.

use std::path::Path;

use async_trait::async_trait;
use kiln_plan::{PluginSource, Version};
use reqwest::Url;

use super::client::{Client, shown};
use super::release_files::{self, Index, Style};
use super::{Archive, ReleaseError, Releases, Watch};
use crate::file_name::PREFIX;

/// The site.
#[derive(Clone, Debug)]
pub struct ReleaseSite {
    base: Url,
}

impl Default for ReleaseSite {
    fn default() -> Self {
        Self::at(Url::parse("https://releases.hashicorp.com/").expect("it is a URL"))
    }
}

impl ReleaseSite {
    /// A site of the same layout elsewhere.
    pub fn at(base: Url) -> Self {
        Self { base }
    }

    fn url(&self, parts: &[&str]) -> Url {
        joined(&self.base, parts)
    }
}

/// A URL with more parts of a path.
pub(super) fn joined(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

#[async_trait]
impl Releases for ReleaseSite {
    fn place(&self) -> String {
        shown(&self.base).trim_end_matches('/').to_owned()
    }

    fn may_have(&self, plugin: &PluginSource) -> bool {
        plugin.host() == "github.com" && plugin.namespace() == "hashicorp"
    }

    async fn versions(&self, plugin: &PluginSource) -> Result<Vec<Version>, ReleaseError> {
        let url = self.url(&[&format!("{PREFIX}{}", plugin.name()), "index.json"]);
        let text = Client::new()?.text(&url, None).await?;
        Ok(Index::read(&text.body, &shown(&url))?.versions().map(|(_, version)| version).collect())
    }

    async fn archives(&self, plugin: &PluginSource, version: &Version) -> Result<Vec<Archive>, ReleaseError> {
        let (directory, number) = (format!("{PREFIX}{}", plugin.name()), version.canonical());
        let url = |file: String| self.url(&[&directory, &number, &file]);
        let client = Client::new()?;
        let sums = client.text(&url(Style::ReleaseSite.sums(plugin, version)), None).await?;
        let manifest_url = url(Style::ReleaseSite.manifest(plugin, version));
        let manifest = client.text(&manifest_url, None).await?;
        let protocol = release_files::protocol(&manifest.body, &shown(&manifest_url))?;
        Ok(release_files::archives(&sums.body, plugin, version, Some(protocol)))
    }

    async fn fetch(
        &self,
        plugin: &PluginSource,
        archive: &Archive,
        to: &Path,
        watch: &dyn Watch,
    ) -> Result<(), ReleaseError> {
        let (directory, number) = (format!("{PREFIX}{}", plugin.name()), archive.program.version.canonical());
        let url = self.url(&[&directory, &number, &archive.file]);
        Client::new()?.file(&url, to, watch).await
    }
}
