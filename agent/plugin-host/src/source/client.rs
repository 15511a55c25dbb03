//! Texts and files over HTTP: bounded in size, in silence and in all, tried again after a passing fault.

use std::path::Path;
use std::time::Duration;

use kiln_plan::Sensitive;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use tokio::io::AsyncWriteExt;

use super::{ReleaseError, Watch};
use crate::store::StageError;

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// The longest silence of a server in the middle of a transfer.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest that one archive may take.
const WHOLE_DEADLINE: Duration = Duration::from_secs(60 * 60);
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// The biggest list or manifest.
const LARGEST_TEXT: u64 = 16 << 20;
/// The biggest archive.
const LARGEST_ARCHIVE: u64 = 1 << 30;

/// Speaks HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// A text and what its server said along with it.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) body: String,
    pub(super) headers: HeaderMap,
}

impl Client {
    pub(super) fn new() -> Result<Self, ReleaseError> {
        // Fails only when a provider is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("Kiln/", env!("CARGO_PKG_VERSION"));
        let builder = reqwest::Client::builder()
            .user_agent(agent)
            .connect_timeout(CONNECT_DEADLINE)
            .read_timeout(SILENCE);
        Ok(Self { http: builder.build().map_err(ReleaseError::Setup)? })
    }

    /// A short text. `token` goes to this very server only: on the way to another one it is dropped.
    pub(super) async fn text(
        &self,
        url: &Url,
        token: Option<&Sensitive<String>>,
    ) -> Result<Text, ReleaseError> {
        again(|| async {
            let mut response = self.get(url, token).await?;
            let headers = response.headers().clone();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| network(url, e))? {
                body.extend_from_slice(&chunk);
                if body.len() as u64 > LARGEST_TEXT {
                    return Err(ReleaseError::TooBig { what: shown(url), limit: LARGEST_TEXT });
                }
            }
            Ok(Text { body: String::from_utf8_lossy(&body).into_owned(), headers })
        })
        .await
    }

    /// An archive, to the file `to`.
    pub(super) async fn file(&self, url: &Url, to: &Path, watch: &dyn Watch) -> Result<(), ReleaseError> {
        let whole = again(|| self.file_once(url, to, watch));
        let minutes = WHOLE_DEADLINE.as_secs() / 60;
        let late = |_| ReleaseError::TooSlow { url: shown(url), minutes };
        tokio::time::timeout(WHOLE_DEADLINE, whole).await.map_err(late)?
    }

    async fn file_once(&self, url: &Url, to: &Path, watch: &dyn Watch) -> Result<(), ReleaseError> {
        let mut response = self.get(url, None).await?;
        let total = response.content_length();
        let too_big = || ReleaseError::TooBig { what: shown(url), limit: LARGEST_ARCHIVE };
        if total.is_some_and(|total| total > LARGEST_ARCHIVE) {
            return Err(too_big());
        }
        let written = |source| StageError::new("write", to, source);
        let mut file = tokio::fs::File::create(to).await.map_err(written)?;
        let label = url.path().rsplit('/').next().unwrap_or_default();
        let mut had = 0;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if total.is_some_and(|total| had < total) => break,
                Err(error) => return Err(network(url, error)),
            };
            file.write_all(&chunk).await.map_err(written)?;
            had += chunk.len() as u64;
            if had > LARGEST_ARCHIVE {
                return Err(too_big());
            }
            watch.progress(label, had, total);
        }
        file.flush().await.map_err(written)?;
        match total {
            Some(of) if had < of => Err(ReleaseError::Cut { url: shown(url), had, of }),
            _ => Ok(()),
        }
    }

    async fn get(&self, url: &Url, token: Option<&Sensitive<String>>) -> Result<Response, ReleaseError> {
        let mut request = self.http.get(url.clone()).header(ACCEPT, "*/*");
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        let response = request.send().await.map_err(|e| network(url, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(match until_when(&response) {
            Some(until) => ReleaseError::RateLimited { until, with_token: token.is_some() },
            None if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                ReleaseError::NotFound(shown(url))
            }
            None => ReleaseError::Refused { url: shown(url), status: status.as_u16() },
        })
    }
}

/// Does something that may fail in passing, a few times.
async fn again<T, F>(mut once: impl FnMut() -> F) -> Result<T, ReleaseError>
where
    F: Future<Output = Result<T, ReleaseError>>,
{
    let mut tries = 1;
    loop {
        match once().await {
            Err(error) if tries < TRIES && is_passing(&error) => {
                tracing::debug!(%error, "trying again");
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            other => return other,
        }
    }
}

fn is_passing(error: &ReleaseError) -> bool {
    match error {
        // Nobody listens there, and nobody will in a second.
        ReleaseError::Network { source, .. } => !source.is_connect() && !source.is_redirect(),
        ReleaseError::Cut { .. } => true,
        ReleaseError::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
        _ => false,
    }
}

/// The end of a refusal that is GitHub's answer to too many requests.
fn until_when(response: &Response) -> Option<String> {
    if !matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let header = |name: &str| response.headers().get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    match (header("x-ratelimit-remaining"), header("x-ratelimit-reset"), header("retry-after")) {
        (_, _, Some(seconds)) => Some(format!("for {seconds} seconds")),
        (Some(0), Some(reset), None) => {
            let reset = jiff::Timestamp::from_second(reset).ok()?;
            Some(format!("until {}", reset.strftime("%H:%M UTC")))
        }
        _ => None,
    }
}

fn network(url: &Url, error: reqwest::Error) -> ReleaseError {
    ReleaseError::Network { url: shown(url), source: error.without_url() }
}

/// A URL for words: without user, password and query, where secrets stand.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Both fail only for URLs that can't have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
