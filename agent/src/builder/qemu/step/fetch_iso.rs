//! Brings the ISO or disk image to this machine, or finds out which of its URLs QEMU can read by itself.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault};
use reqwest::header::ACCEPT_RANGES;

use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::download;

/// How long a server may take to say whether it has the ISO.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct FetchIso<'a> {
    /// The config.
    pub config: &'a Config,
}

/// The ISO or disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iso {
    /// A file of this machine.
    File(PathBuf),
    /// A URL that QEMU reads (`iso_skip_cache`).
    Url(String),
}

impl Iso {
    /// As QEMU takes it.
    pub fn text(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => url.clone(),
        }
    }
}

#[async_trait]
impl Step for FetchIso<'_> {
    type Output = Iso;

    fn name(&self) -> &'static str {
        "fetch the ISO"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Iso>, Failure> {
        if self.config.disks.iso_skip_cache {
            let url = unless_cancelled(cx, self.readable_url()).await?;
            download::origin::unread(cx, &url);
            return Ok(Done::plain(Iso::Url(url)));
        }
        let fetched = unless_cancelled(cx, download::fetch(cx, &self.config.iso)).await?;
        Ok(Done::plain(Iso::File(fetched.path)))
    }
}

impl FetchIso<'_> {
    /// The last URL whose server serves parts of files, which QEMU needs.
    async fn readable_url(&self) -> Result<String, Failure> {
        let fail = |error: &dyn std::fmt::Display| {
            Failure::new(Fault::Machine, format!("cannot ask for the ISO: {error}"))
        };
        // Fails only when a provider is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().user_agent("Packer").timeout(HEAD_DEADLINE).build();
        let client = client.map_err(|e| fail(&e))?;
        let mut reasons = Vec::new();
        for url in self.config.iso.urls.iter().rev() {
            match client.head(url).send().await {
                Ok(reply) if !reply.status().is_success() => {
                    reasons.push(format!("{url}: the server answered {}", reply.status()));
                }
                Ok(reply) if reply.headers().get(ACCEPT_RANGES).is_some_and(|v| v == "bytes") => {
                    return Ok(url.clone());
                }
                Ok(_) => reasons.push(format!("{url}: the server doesn't serve parts of files")),
                Err(error) => reasons.push(format!("{url}: {error}")),
            }
        }
        let failure = Failure::new(Fault::Template, "no iso_url can be read without downloading it")
            .hint("Set iso_skip_cache to false.");
        Err(reasons.into_iter().fold(failure, Failure::evidence))
    }
}
