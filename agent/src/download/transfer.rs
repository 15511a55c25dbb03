//! Bytes over HTTP: continued after a cut, bounded in silence, told as progress.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_component::Reporter;
use kiln_plan::event::ProgressUnit;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::netrc;

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// The longest silence of a server in the middle of a transfer.
const SILENCE: Duration = Duration::from_secs(60);
/// Tries in a row that bring nothing.
const FRUITLESS_TRIES: u32 = 5;
const PAUSE_AFTER_A_CUT: Duration = Duration::from_millis(500);
/// Between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The most that is read of a sums file.
const LONGEST_TEXT: usize = 16 << 20;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No connection, or it broke too often.
    #[error("the transfer failed")]
    Http(#[from] reqwest::Error),
    /// The server said no.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// Nothing came any more.
    #[error("nothing came from the server for {} seconds", SILENCE.as_secs())]
    Silent,
    /// The server hung up early, time and again.
    #[error("the connection was cut {FRUITLESS_TRIES} times in a row, after {had} bytes of {}", of.map_or("unknown".to_owned(), |n| n.to_string()))]
    Cut {
        /// Bytes that came.
        had: u64,
        /// Bytes in all.
        of: Option<u64>,
    },
    /// The disk is full.
    #[error("no space left for {}; free some, or move the cache with PACKER_CACHE_DIR", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The sums file is too long to be one.
    #[error("the answer is longer than {LONGEST_TEXT} bytes")]
    TooLong,
}

impl TransferError {
    /// Whether the server refused, as it would any machine.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Status(status) => status.is_client_error() && !is_passing(*status),
            Self::TooLong => true,
            _ => false,
        }
    }
}

/// Whether the same request may succeed a little later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// The client of all downloads.
pub(super) fn client() -> Result<Client, TransferError> {
    // Fails only when a provider is chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("Kiln/", env!("CARGO_PKG_VERSION"));
    Ok(Client::builder().user_agent(agent).connect_timeout(CONNECT_DEADLINE).read_timeout(SILENCE).build()?)
}

fn request(client: &Client, method: reqwest::Method, url: &Url) -> reqwest::RequestBuilder {
    let request = client.request(method, url.clone());
    let netrc = std::env::home_dir().map(|home| home.join(".netrc"));
    let known =
        netrc.filter(|_| url.username().is_empty()).and_then(|file| std::fs::read_to_string(file).ok());
    match known.and_then(|text| netrc::credentials(&text, url.host_str()?)) {
        Some((login, password)) => request.basic_auth(login, Some(password)),
        None => request,
    }
}

/// A short text.
pub(super) async fn text(client: &Client, url: &Url) -> Result<String, TransferError> {
    let mut response = request(client, reqwest::Method::GET, url).send().await?;
    if !response.status().is_success() {
        return Err(TransferError::Status(response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_TEXT {
            return Err(TransferError::TooLong);
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How long the file is, if the server says so.
pub(super) async fn length(client: &Client, url: &Url) -> Result<Option<u64>, TransferError> {
    let response = request(client, reqwest::Method::HEAD, url).send().await?;
    if !response.status().is_success() {
        return Err(TransferError::Status(response.status()));
    }
    Ok(number(response.headers(), CONTENT_LENGTH.as_str()))
}

/// Brings the file into `part`, continuing what is there.
pub(super) async fn file(
    client: &Client,
    url: &Url,
    part: &Path,
    reporter: &Reporter,
) -> Result<(), TransferError> {
    let label = url.path().rsplit('/').next().filter(|n| !n.is_empty()).unwrap_or("download").to_owned();
    let mut transfer = Transfer { client, url, part, reporter, label, etag: None, total: None };
    let mut fruitless = 0;
    loop {
        let before = transfer.had();
        let error = match transfer.attempt().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let passing = match &error {
            TransferError::Status(status) => is_passing(*status),
            TransferError::Http(_) | TransferError::Silent | TransferError::Cut { .. } => true,
            _ => false,
        };
        fruitless = if transfer.had() > before { 0 } else { fruitless + 1 };
        if !passing || fruitless >= FRUITLESS_TRIES {
            return Err(error);
        }
        tracing::debug!(%url, %error, "the download is continued");
        tokio::time::sleep(PAUSE_AFTER_A_CUT * fruitless.max(1)).await;
    }
}

struct Transfer<'a> {
    client: &'a Client,
    url: &'a Url,
    part: &'a Path,
    reporter: &'a Reporter,
    label: String,
    /// Of the first answer: the rest must come from the same file.
    etag: Option<String>,
    total: Option<u64>,
}

impl Transfer<'_> {
    fn had(&self) -> u64 {
        std::fs::metadata(self.part).map_or(0, |m| m.len())
    }

    /// One request, from where the part ends.
    async fn attempt(&mut self) -> Result<(), TransferError> {
        let mut offset = self.had();
        let mut request = request(self.client, reqwest::Method::GET, self.url);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(offset) => {}
            StatusCode::RANGE_NOT_SATISFIABLE if range_total(response.headers()) == Some(offset) => {
                return Ok(());
            }
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                // The part is longer than the file, or the server is confused: begin anew.
                self.truncate().await?;
                return Err(TransferError::Cut { had: 0, of: None });
            }
            status if status.is_success() => {
                self.truncate().await?;
                offset = 0;
            }
            status => return Err(TransferError::Status(status)),
        }
        let etag = response.headers().get(ETAG).and_then(|e| e.to_str().ok());
        self.etag = etag.filter(|e| !e.starts_with("W/")).map(str::to_owned);
        self.total = range_total(response.headers())
            .or_else(|| number(response.headers(), CONTENT_LENGTH.as_str()).map(|l| l + offset));
        self.receive(response, offset).await
    }

    async fn receive(&self, mut response: Response, offset: u64) -> Result<(), TransferError> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.part)
            .await
            .map_err(|source| self.write_error(source))?;
        let mut had = offset;
        let mut told = Instant::now();
        self.reporter.progress(&self.label, had, self.total, ProgressUnit::Bytes);
        let outcome = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    file.write_all(&chunk).await.map_err(|source| self.write_error(source))?;
                    had += chunk.len() as u64;
                }
                Ok(None) => break Ok(()),
                Err(error) if error.is_timeout() => break Err(TransferError::Silent),
                // Whatever the reason was called, the rest is still to come.
                Err(_) if self.total.is_some_and(|total| had < total) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                self.reporter.progress(&self.label, had, self.total, ProgressUnit::Bytes);
            }
        };
        file.flush().await.map_err(|source| self.write_error(source))?;
        self.reporter.progress(&self.label, had, self.total, ProgressUnit::Bytes);
        match self.total {
            Some(total) if outcome.is_ok() && had < total => Err(TransferError::Cut { had, of: Some(total) }),
            _ => outcome,
        }
    }

    async fn truncate(&self) -> Result<(), TransferError> {
        File::create(self.part).await.map(drop).map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: std::io::Error) -> TransferError {
        let path = self.part.to_owned();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                TransferError::DiskFull { path }
            }
            _ => TransferError::Write { path, source },
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The first position of `Content-Range: bytes 5-9/10`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

/// The length after the slash of `Content-Range: bytes 5-9/10`.
fn range_total(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.trim().parse().ok()
}
