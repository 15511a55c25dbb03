//! Releases on GitHub: versions are tags `v1.2.3` of the repository `packer-plugin-NAME`, archives are their assets.
//!
//! The token goes to GitHub's API alone: assets lead to a storage that refuses it.

use std::path::Path;

use async_trait::async_trait;
use kiln_plan::{PluginSource, Sensitive, Version};
use reqwest::Url;
use reqwest::header::LINK;
use serde::Deserialize;

use super::client::{Client, shown};
use super::release_files::{self, Style};
use super::release_site::joined;
use super::{Archive, ReleaseError, Releases, Watch};
use crate::file_name::PREFIX;

/// Pages of tags that are read, at most.
const MOST_PAGES: usize = 20;

/// GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    api: Url,
    site: Url,
    token: Option<Sensitive<String>>,
}

/// A tag, as the API tells it.
#[derive(Debug, Deserialize)]
struct Tag {
    /// `refs/tags/v1.2.3`
    #[serde(rename = "ref")]
    name: String,
}

impl GitHub {
    /// The public one, with a token if there is one.
    pub fn new(token: Option<Sensitive<String>>) -> Self {
        let url = |text| Url::parse(text).expect("it is a URL");
        Self::at(url("https://api.github.com/"), url("https://github.com/"), token)
    }

    /// Another one: the URL of its API and that of its pages.
    pub fn at(api: Url, site: Url, token: Option<Sensitive<String>>) -> Self {
        Self { api, site, token }
    }

    /// The URL of an asset.
    fn asset(&self, plugin: &PluginSource, version: &Version, file: &str) -> Url {
        let (repository, tag) = (format!("{PREFIX}{}", plugin.name()), format!("v{}", version.canonical()));
        joined(&self.site, &[plugin.namespace(), &repository, "releases", "download", &tag, file])
    }
}

#[async_trait]
impl Releases for GitHub {
    fn place(&self) -> String {
        shown(&self.site).trim_end_matches('/').to_owned()
    }

    fn may_have(&self, plugin: &PluginSource) -> bool {
        plugin.host() == "github.com" && !plugin.namespace().contains('/')
    }

    async fn versions(&self, plugin: &PluginSource) -> Result<Vec<Version>, ReleaseError> {
        let repository = format!("{PREFIX}{}", plugin.name());
        let parts = ["repos", plugin.namespace(), &repository, "git", "matching-refs", "tags"];
        let mut next = Some(joined(&self.api, &parts));
        let client = Client::new()?;
        let mut versions = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { break };
            let page = client.text(&url, self.token.as_ref()).await?;
            let nonsense = |source| ReleaseError::Nonsense { what: shown(&url), source };
            let tags: Vec<Tag> = serde_json::from_str(&page.body).map_err(nonsense)?;
            // Other tags than versions may be there for other reasons.
            versions.extend(tags.iter().filter_map(|t| t.name.strip_prefix("refs/tags/v")?.parse().ok()));
            let links = page.headers.get(LINK).and_then(|l| l.to_str().ok());
            // Never to another server, which would learn the token.
            next = links
                .and_then(next_page)
                .and_then(|n| url.join(n).ok())
                .filter(|n| n.origin() == url.origin());
        }
        Ok(versions)
    }

    async fn archives(&self, plugin: &PluginSource, version: &Version) -> Result<Vec<Archive>, ReleaseError> {
        let url = self.asset(plugin, version, &Style::GitHub.sums(plugin, version));
        let sums = Client::new()?.text(&url, None).await?;
        Ok(release_files::archives(&sums.body, plugin, version, None))
    }

    async fn fetch(
        &self,
        plugin: &PluginSource,
        archive: &Archive,
        to: &Path,
        watch: &dyn Watch,
    ) -> Result<(), ReleaseError> {
        Client::new()?.file(&self.asset(plugin, &archive.program.version, &archive.file), to, watch).await
    }
}

/// The next page out of `<https://…?page=2>; rel="next", <…>; rel="last"`.
fn next_page(links: &str) -> Option<&str> {
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    next.trim().strip_prefix('<')?.split('>').next()
}
