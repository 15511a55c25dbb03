//! Fetching files once per machine: cached by checksum, verified, resumed.
//!
//! Several addresses are tried in order until one yields a file with the right checksum. Local files are used where
//! they lie. The cache's names and locks are Packer's, so that both share one cache.
//!
//! ```text
//!  for each URL:  local path ──► verify in place ──► done
//!                 http(s) ──► lock ──► cached and right? done
//!                                 └──► <target>.part: resume or begin ──► verify ──► rename to <target> ──► done
//!                                                                       └──► wrong: delete, next URL
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_component::{Reporter, TaskContext};
use kiln_plan::{Failure, Fault};

pub mod bound;
mod cache;
pub mod checksum;
pub mod iso;
mod netrc;
pub mod origin;
pub mod source;
pub mod sums_file;
mod transfer;

use cache::Target;
use checksum::{Checksum, ChecksumError, Sum};
use source::{Source, SourceError};
use transfer::TransferError;

/// A file that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What people call it: `ISO`.
    pub noun: &'static str,
    /// Where it may be had: URLs or local paths, in order of preference.
    pub urls: Vec<String>,
    /// What it must hash to.
    pub checksum: Checksum,
    /// Where it is to lie: a file, or a directory when it has no extension; the cache when `None`.
    pub target_path: Option<PathBuf>,
    /// The extension of its name in the cache, without dot.
    pub extension: String,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// The URL that it came from.
    pub url: String,
}

/// Why one address didn't yield the file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The address can't be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The transfer failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The sums file can't be had.
    #[error("cannot fetch the sums file {file}")]
    Sums {
        /// Its address, without password.
        file: String,
        /// Why.
        #[source]
        source: TransferError,
    },
    /// What came isn't what was wanted, or its sums file can't be used.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// The cache can't be used.
    #[error("cannot {operation} {}", path.display())]
    Cache {
        /// What was being done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process downloads the same file and doesn't come to an end.
    #[error("waited {} minutes for another download of {}", waited.as_secs() / 60, path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long.
        waited: Duration,
    },
}

impl DownloadError {
    /// Whose doing it is: a wrong address or checksum is the template's, the rest may go well elsewhere.
    fn fault(&self) -> Fault {
        match self {
            Self::Source(_) | Self::Checksum(_) => Fault::Template,
            Self::Transfer(error) | Self::Sums { source: error, .. } if error.is_refusal() => Fault::Template,
            Self::Transfer(_) | Self::Sums { .. } | Self::Cache { .. } | Self::Locked { .. } => {
                Fault::Machine
            }
        }
    }
}

/// Fetches a file, trying its addresses in order. May be dropped at any time; what has come so far is kept and
/// continued by the next attempt.
///
/// # Errors
/// When no address yields it: the last one's reason, and those of the others as evidence.
pub async fn fetch(cx: &TaskContext, wanted: &Wanted) -> Result<Fetched, Failure> {
    let mut reasons = Vec::new();
    for url in &wanted.urls {
        cx.reporter.say(format!("Fetching {}", source::without_password(url)));
        match fetch_from(cx, wanted, url).await {
            Ok(path) => {
                cx.reporter.say(format!("The {} is {}", wanted.noun, path.display()));
                return Ok(Fetched { path, url: url.clone() });
            }
            Err(error) => {
                let reason =
                    format!("{}: {}", source::without_password(url), kiln_plan::fault::chain(&error));
                cx.reporter.error(&reason);
                reasons.push((error.fault(), reason));
            }
        }
    }
    // One address that another machine might reach is enough to try there.
    let elsewhere = reasons.iter().map(|(fault, _)| *fault).find(|f| f.may_retry_elsewhere());
    let fault = elsewhere.unwrap_or(Fault::Template);
    let last = reasons.last().map_or("no URL is given", |(_, reason)| reason.as_str());
    let failure = Failure::new(fault, format!("cannot fetch the {}: {last}", wanted.noun));
    let others = reasons.split_last().map_or(&[][..], |(_, others)| others);
    Err(others.iter().fold(failure, |failure, (_, reason)| failure.evidence(reason)))
}

async fn fetch_from(cx: &TaskContext, wanted: &Wanted, url: &str) -> Result<PathBuf, DownloadError> {
    let (source, own_sum) = Source::parse(url, &cx.working_dir)?;
    let checksum = match own_sum {
        Some(text) => Checksum::parse(&text)?,
        None => wanted.checksum.clone(),
    };
    let client = transfer::client()?;
    let sum = match &checksum {
        Checksum::None => None,
        Checksum::Sum(sum) => Some(sum.clone()),
        Checksum::File(file) => Some(sum_from_file(cx, &client, file, &source).await?),
    };
    let path = match source {
        Source::Local(path) => verified_in_place(path, sum.as_ref()).await?,
        Source::Http(address) => {
            let target = Target::new(wanted, &cx.cache_dir, &cx.working_dir, sum.as_ref(), url);
            let (reporter, scratch) = (&cx.reporter, &*cx.scratch);
            let download = Download { client, address, target, sum: sum.clone(), reporter, scratch };
            download.run().await?
        }
    };
    origin::fetched(cx, (url, &path), sum.as_ref()).await?;
    Ok(path)
}

async fn verified_in_place(path: PathBuf, sum: Option<&Sum>) -> Result<PathBuf, DownloadError> {
    let readable = tokio::fs::File::open(&path).await;
    readable.map_err(|source| DownloadError::Cache { operation: "open", path: path.clone(), source })?;
    if let Some(sum) = sum {
        sum.verify(&path).await?;
    }
    Ok(path)
}

/// The sum that a sums file lists for `wanted`.
async fn sum_from_file(
    cx: &TaskContext,
    client: &reqwest::Client,
    file: &str,
    wanted: &Source,
) -> Result<Sum, DownloadError> {
    let (sums, _) = Source::parse(file, &cx.working_dir)?;
    let text = match &sums {
        Source::Local(path) => tokio::fs::read_to_string(path).await.map_err(|source| {
            DownloadError::Cache { operation: "read the sums file", path: path.clone(), source }
        })?,
        Source::Http(address) => transfer::text(client, address)
            .await
            .map_err(|source| DownloadError::Sums { file: source::without_password(file), source })?,
    };
    let found = sums_file::find(&text, &wanted.path(), &sums.path());
    found.ok_or_else(|| ChecksumError::NotListed { file: file.to_owned(), name: wanted.path() }.into())
}

/// One file to be brought over HTTP.
struct Download<'a> {
    client: reqwest::Client,
    address: reqwest::Url,
    target: Target,
    sum: Option<Sum>,
    reporter: &'a Reporter,
    /// Of the task that wants it.
    scratch: &'a Path,
}

impl Download<'_> {
    async fn run(&self) -> Result<PathBuf, DownloadError> {
        let _lock = self.target.lock(self.reporter).await?;
        let path = self.find_or_bring().await?;
        bound::mark_used(&path, self.scratch);
        Ok(path)
    }

    async fn find_or_bring(&self) -> Result<PathBuf, DownloadError> {
        let (path, part) = (&self.target.path, self.target.part());
        if path.exists() {
            if self.is_complete(path).await? {
                return Ok(path.clone());
            }
            // Perhaps another program's half of the file.
            self.target.rename(path, &part).await?;
        }
        if self.sum.is_none() {
            // Nothing would tell whether an older part fits to the rest.
            let _ = tokio::fs::remove_file(&part).await;
        }
        let resumed = part.exists();
        let mut outcome = self.bring(&part).await;
        if resumed && matches!(outcome, Err(DownloadError::Checksum(_))) {
            // The older part may be to blame, or the file has changed since.
            outcome = self.bring(&part).await;
        }
        outcome?;
        self.target.rename(&part, path).await?;
        Ok(path.clone())
    }

    /// Brings the rest of the file and verifies it; a wrong file is deleted.
    async fn bring(&self, part: &Path) -> Result<(), DownloadError> {
        transfer::file(&self.client, &self.address, part, self.reporter).await?;
        let Some(sum) = &self.sum else { return Ok(()) };
        let verified = sum.verify(part).await;
        if verified.is_err() {
            let _ = tokio::fs::remove_file(part).await;
        }
        Ok(verified?)
    }

    /// Whether the cached file is the wanted one; without a sum, whether it is as long.
    async fn is_complete(&self, path: &Path) -> Result<bool, DownloadError> {
        match &self.sum {
            Some(sum) => match sum.verify(path).await {
                Ok(()) => Ok(true),
                Err(ChecksumError::Mismatch { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            },
            None => {
                let length = transfer::length(&self.client, &self.address).await?;
                Ok(length.is_some_and(|l| std::fs::metadata(path).is_ok_and(|m| m.len() >= l)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
