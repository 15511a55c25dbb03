//! Spans on their way to the collector: OTLP over HTTP. A collector that doesn't answer, or says that it can't just now, is
//! asked again for a while; one that refuses is not.

use std::time::Duration;

use kiln_plan::Sensitive;
use kiln_proto::Bytes;
use kiln_proto::otlp::{self, Span, Value};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The most spans of a request.
const AT_ONCE: usize = 1_000;

/// The most bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// How patient it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long one request may take.
    request: Duration,
    /// How long is tried in all.
    all: Duration,
    /// The pause after the first failure. Doubles with each, up to sixty times as long.
    pause: Duration,
}

const PATIENCE: Patience = Patience {
    request: Duration::from_secs(10),
    all: Duration::from_secs(300),
    pause: Duration::from_millis(500),
};

/// Where traces are sent to.
#[derive(Clone, Debug)]
pub struct Collector {
    url: Url,
    headers: HeaderMap,
}

/// A collector can't be addressed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// The address.
    #[error("it must be the address of a collector, as http://127.0.0.1:4318 or https://otlp.example.org")]
    Address,
    /// A header; which one is not told, for it may be secret.
    #[error("line {0} must be a header, as `Authorization: Bearer …`")]
    Header(usize),
}

impl Collector {
    /// The collector at this address, below which `/v1/traces` lies (OTLP over HTTP, usually on port 4318).
    ///
    /// # Errors
    /// When it is no address over HTTP.
    pub fn at(address: &str) -> Result<Self, CollectorError> {
        let mut url = Url::parse(address).map_err(|_| CollectorError::Address)?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(CollectorError::Address);
        }
        let path = format!("{}{}", url.path().trim_end_matches('/'), otlp::PATH);
        url.set_path(&path);
        Ok(Self { url, headers: HeaderMap::new() })
    }

    /// The same, with these headers in each request: one in a line, as `Authorization: Bearer …`.
    ///
    /// # Errors
    /// When a line is no header.
    pub fn with_headers(mut self, lines: &Sensitive<String>) -> Result<Self, CollectorError> {
        for (line, number) in lines.reveal().lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let header = || {
                let (name, value) = line.split_once(':')?;
                let mut value = HeaderValue::from_str(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
            };
            let (name, value) = header().ok_or(CollectorError::Header(number))?;
            self.headers.append(name, value);
        }
        Ok(self)
    }
}

/// Spans could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// There is no client.
    #[error("no connection to a collector can be made on this machine")]
    Client(#[source] reqwest::Error),
    /// It could not be reached, or broke off.
    #[error("the collector could not be reached, or broke off")]
    Http(#[source] reqwest::Error),
    /// It said no.
    #[error("the collector answered {0}")]
    Status(StatusCode),
}

/// Sends spans. Keeps its connection.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client,
    collector: Collector,
    resource: Vec<(&'static str, Value)>,
    patience: Patience,
}

impl Exporter {
    /// For the coordinator of this number.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(collector: Collector, coordinator: u64) -> Result<Self, ExportError> {
        Self::patient(collector, coordinator, PATIENCE)
    }

    fn patient(collector: Collector, coordinator: u64, patience: Patience) -> Result<Self, ExportError> {
        // Somebody else may have chosen the same already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(patience.request).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(ExportError::Client)?;
        let text = |text: &str| Value::Text(text.to_owned());
        let resource = vec![
            ("service.name", text("kiln")),
            ("service.version", text(env!("CARGO_PKG_VERSION"))),
            ("service.instance.id", Value::Text(format!("coordinator-{coordinator}"))),
        ];
        Ok(Self { client, collector, resource, patience })
    }

    /// Sends spans of one trace.
    ///
    /// # Errors
    /// When the collector refuses them, or doesn't take them in time.
    pub(super) async fn send(&self, spans: &[Span]) -> Result<(), ExportError> {
        for part in spans.chunks(AT_ONCE) {
            let scope = ("kiln", env!("CARGO_PKG_VERSION"));
            self.send_patiently(otlp::request(&self.resource, scope, part)).await?;
        }
        Ok(())
    }

    async fn send_patiently(&self, body: Bytes) -> Result<(), ExportError> {
        let give_up = Instant::now() + self.patience.all;
        let mut pause = self.patience.pause;
        loop {
            let (error, asked) = match self.send_once(body.clone()).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let asked = asked.map(|asked| asked.min(self.patience.all));
            let Some(least) = asked.filter(|least| Instant::now() + (*least).max(pause) < give_up) else {
                return Err(error);
            };
            tokio::time::sleep(least.max(pause)).await;
            pause = (pause * 2).min(self.patience.pause * 60);
        }
    }

    /// Sends once; otherwise why not, and after how long to try again, if it is worth it.
    async fn send_once(&self, body: Bytes) -> Result<(), (ExportError, Option<Duration>)> {
        let request = self.client.post(self.collector.url.clone()).headers(self.collector.headers.clone());
        let request = request.header(CONTENT_TYPE, otlp::CONTENT_TYPE).body(body);
        let answer = request.send().await;
        // The address is in the settings, and may have a name and a password in it.
        let mut answer =
            answer.map_err(|error| (ExportError::Http(error.without_url()), Some(Duration::ZERO)))?;
        let status = answer.status();
        if status.is_success() {
            let mut told = Vec::new();
            while let Ok(Some(part)) = answer.chunk().await {
                told.extend_from_slice(&part);
                if told.len() > ANSWER {
                    break;
                }
            }
            if let Some((spans, why)) = otlp::rejected(&told) {
                tracing::warn!(spans, why, "the collector didn't want some spans of a trace");
            }
            return Ok(());
        }
        let again = matches!(status.as_u16(), 429 | 502 | 503 | 504).then(|| {
            let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            Duration::from_secs(after.unwrap_or(0))
        });
        Err((ExportError::Status(status), again))
    }
}
