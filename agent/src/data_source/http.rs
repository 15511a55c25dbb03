//! The data source `http`: one request, whose answer's text and headers are the answer.
//!
//! One try, as in Packer: a request may be a `POST`. Connecting may take 30 s and the server be silent for 60 s; an answer
//! of more than 16 MiB is refused, since it becomes part of plans.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{DataConfig, DataContext, DataSource, Factory};
use kiln_lang::types::ObjectAttribute;
use kiln_lang::{Diagnostic, Diagnostics, Type, Value};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use serde::Deserialize;

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// The longest silence of the server.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest answer, in bytes.
const LONGEST: usize = 16 << 20;
const METHODS: [&str; 7] = ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// The data source and its options.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new("url", OptionType::String, "What to ask for").required(),
        OptionSchema::new("method", OptionType::String, "How to ask").default("\"GET\"").values(&METHODS),
        OptionSchema::new("request_headers", OptionType::StringMap, "Headers to send"),
        OptionSchema::new("request_body", OptionType::String, "Body to send"),
    ];
    let answer = [
        ("url".to_owned(), ObjectAttribute::required(Type::String)),
        ("body".to_owned(), ObjectAttribute::required(Type::String)),
        ("request_headers".to_owned(), ObjectAttribute::required(Type::map(Type::String))),
    ];
    Factory::data_source("http", options, Type::Object(answer.into()), make)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    url: String,
    method: String,
    request_headers: BTreeMap<String, String>,
    request_body: String,
}

struct Ask {
    /// As the template wrote it, with its mark.
    shown: Value,
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: String,
}

/// Headers and bodies carry credentials, and so may the address.
impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).field("host", &self.url.host_str()).finish()
    }
}

fn make(config: DataConfig) -> Made<Box<dyn DataSource>> {
    let options: Config = config.decode()?;
    let mut found = Diagnostics::new();
    let url = address(&options.url).map_err(|d| found.push(d)).ok();
    let method = method(&options.method).map_err(|d| found.push(d)).ok();
    let mut headers = HeaderMap::new();
    for (name, value) in &options.request_headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            // The value may be a secret.
            _ => {
                let detail = format!("The header {name:?} has a name or a value that can't be sent.");
                found.push(Diagnostic::error("invalid request_headers", detail));
            }
        }
    }
    let (Some(url), Some(method), false) = (url, method, found.has_errors()) else { return Err(found) };
    let shown = Value::from(options.url).marked(config.is_sensitive("url"));
    let ask = Ask { shown, url, method, headers, body: options.request_body };
    Ok((Box::new(ask), found))
}

fn address(text: &str) -> Result<Url, Diagnostic> {
    if text.is_empty() {
        return Err(Diagnostic::error(
            "the `url` must be specified",
            "There is nothing to ask for without one.",
        ));
    }
    let error = |reason: String| Diagnostic::error("invalid url", reason);
    let url = Url::parse(text).map_err(|e| error(format!("The address can't be read: {e}.")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(error(format!("It begins with {other:?}; http and https are possible."))),
    }
}

fn method(text: &str) -> Result<Method, Diagnostic> {
    let name = if text.is_empty() { "GET" } else { text };
    match METHODS.contains(&name).then(|| Method::from_bytes(name.as_bytes()).ok()).flatten() {
        Some(method) => Ok(method),
        None => {
            let detail = format!("{name:?} is none of {}.", METHODS.join(", "));
            Err(Diagnostic::error("invalid method", detail))
        }
    }
}

#[async_trait]
impl DataSource for Ask {
    async fn read(&self, cx: &DataContext) -> Result<Value, Failure> {
        let response = self.send().await?;
        let status = response.status();
        if !status.is_success() {
            let fault = if status.is_client_error() { Fault::Template } else { Fault::Machine };
            let told = format!("{} {} was answered with {status}", self.method, self.place());
            return Err(Failure::new(fault, told));
        }
        if let Some(kind) = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok())
            && !is_text(kind)
        {
            cx.notice(format!(
                "the content type of {} is {kind:?}, which is no text; `body` may be unusable",
                self.place()
            ));
        }
        let headers = answered_headers(response.headers());
        let body = self.text(response).await?;
        Ok(Value::object([
            ("url".to_owned(), self.shown.clone()),
            ("body".to_owned(), Value::from(body)),
            ("request_headers".to_owned(), headers),
        ]))
    }
}

impl Ask {
    async fn send(&self) -> Result<Response, Failure> {
        // Fails only when a provider is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("Kiln/", env!("CARGO_PKG_VERSION"));
        let client =
            Client::builder().user_agent(agent).connect_timeout(CONNECT_DEADLINE).read_timeout(SILENCE);
        let client = client.build().map_err(|error| self.failed("prepare", &error))?;
        let mut request = client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        if !self.body.is_empty() {
            request = request.body(self.body.clone());
        }
        request.send().await.map_err(|error| self.failed("send", &error))
    }

    async fn text(&self, mut response: Response) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.failed("read the answer of", &error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST {
                let told = format!("the answer of {} is longer than {} MiB", self.place(), LONGEST >> 20);
                return Err(Failure::new(Fault::Template, told)
                    .hint("a template can't hold files; let a provisioner download it"));
            }
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    fn failed(&self, operation: &str, error: &reqwest::Error) -> Failure {
        // The address is told without its credentials and query, which the crate's own words would show.
        let mut reason = String::new();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            reason = format!("{reason}: {next}");
            cause = next.source();
        }
        let kind = match () {
            () if error.is_timeout() => ": it took too long",
            () if error.is_redirect() => ": too many redirects",
            () => "",
        };
        Failure::new(
            Fault::Machine,
            format!("cannot {operation} {} {}{kind}{reason}", self.method, self.place()),
        )
    }

    /// The address without credentials and query.
    fn place(&self) -> String {
        let mut url = self.url.clone();
        // Both fail only for addresses that can't have them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }
}

/// Text by its type, or what is text in all but name.
fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(
            kind.as_str(),
            "application/json" | "application/ld+json" | "application/samlmetadata+xml" | "application/xml"
        )
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

/// Names as HTTP/1 writes them, several values of one name joined.
fn answered_headers(headers: &HeaderMap) -> Value {
    let mut entries = BTreeMap::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        entries.insert(canonical(name.as_str()), Value::from(values.join(", ")));
    }
    Value::new(kiln_lang::value::Data::Map(Type::String, entries))
}

fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
