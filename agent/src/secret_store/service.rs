//! One service that is asked over HTTP: where it is, whom it is trusted by, and how far its answers may go.

use std::path::Path;
use std::time::Duration;

use kiln_plan::Redactor;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder, Url};

use super::SecretError;
use super::environment::{Environment, unusable};

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// For a request as a whole.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;
/// How much of a service's own words is told, in characters.
const MOST_WORDS: usize = 300;

/// The variables that tell whom to trust, and as whom to come. An empty name: there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrustVariables {
    /// Authorities in one PEM file.
    pub(super) authorities: &'static str,
    /// Authorities in PEM files of a directory.
    pub(super) directory: &'static str,
    /// A certificate to come with, a PEM file.
    pub(super) certificate: &'static str,
    /// Its key.
    pub(super) key: &'static str,
}

/// A service and a client for it.
#[derive(Debug)]
pub(super) struct Service {
    /// What people call it.
    pub(super) name: &'static str,
    pub(super) client: Client,
    pub(super) base: Url,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Service {
    /// A service at an address: of `http`, `https`, or `unix` with the path of a socket. `variable` is where the address
    /// comes from.
    pub(super) fn at(
        name: &'static str,
        variable: &str,
        address: &str,
        client: ClientBuilder,
    ) -> Result<Self, SecretError> {
        let (address, client) = match address.strip_prefix("unix://") {
            Some(socket) => ("http://localhost", client.unix_socket(Path::new(socket))),
            None => (address, client),
        };
        let base = Url::parse(address).map_err(|error| unusable(variable, error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(unusable(variable, "it must begin with http:// or https://"));
        }
        let client = client
            .build()
            .map_err(|error| unusable(variable, format!("no client for it: {}", told(&error))))?;
        Ok(Self { name, client, base })
    }

    /// The address of something there.
    pub(super) fn url<'p>(&self, segments: impl IntoIterator<Item = &'p str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Sends a request, and reads the whole answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, SecretError> {
        let unreachable =
            |reason: String| SecretError::Unreachable { store: self.name, place: self.place(), reason };
        let mut response = request.send().await.map_err(|error| unreachable(told(&error)))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(told(&error)))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(unreachable(format!("its answer is longer than {} KiB", LONGEST >> 10)));
            }
        }
        let body = String::from_utf8(body).map_err(|_| unreachable("its answer isn't text".to_owned()))?;
        Ok(Answer { status, body })
    }

    /// The complaint about an answer that holds nothing, with the first line of what the service says for itself. Some
    /// repeat what they were sent; `credentials` are hidden.
    pub(super) fn refused(&self, status: u16, words: &str, credentials: &[&str]) -> SecretError {
        let line = words.trim().lines().next().unwrap_or_default();
        let line = Redactor::new(credentials.iter().copied()).redact(line).into_owned();
        let reason = line.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
        SecretError::Refused { store: self.name, place: self.place(), status, reason }
    }

    /// The complaint about an answer that makes no sense.
    pub(super) fn senseless(&self) -> SecretError {
        let reason = "its answer isn't what the API promises".to_owned();
        SecretError::Unreachable { store: self.name, place: self.place(), reason }
    }

    /// The address without credentials.
    fn place(&self) -> String {
        let mut url = self.base.clone();
        // Both fail only for addresses that can't have them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.to_string().trim_end_matches('/').to_owned()
    }
}

/// A client with the limits of this module, which follows no redirects: what it is sent with is for one service alone.
pub(super) fn client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("Kiln/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_DEADLINE)
        .timeout(DEADLINE)
        .redirect(Policy::none())
}

/// The same, trusting whom the variables name, and coming with the certificate that they name.
pub(super) fn trusting_client(
    environment: &Environment,
    variables: TrustVariables,
) -> Result<ClientBuilder, SecretError> {
    let mut authorities = Vec::new();
    if let Some(path) = environment.get(variables.authorities) {
        authorities.extend(certificates(variables.authorities, &read(variables.authorities, path)?)?);
    }
    if let Some(directory) = environment.get(variables.directory) {
        let unreadable = |error: std::io::Error| unusable(variables.directory, error.to_string());
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                let pem = read(variables.directory, &path.to_string_lossy())?;
                authorities.extend(certificates(variables.directory, &pem)?);
            }
        }
    }
    let mut client = client();
    if !authorities.is_empty() {
        // As with the stores' own tools, the system's authorities don't count then.
        client = client.tls_certs_only(authorities);
    }
    let pair = (environment.get(variables.certificate), environment.get(variables.key));
    match pair {
        (Some(certificate), Some(key)) => {
            let mut pem = read(variables.certificate, certificate)?;
            pem.push(b'\n');
            pem.extend(read(variables.key, key)?);
            let identity = Identity::from_pem(&pem)
                .map_err(|_| unusable(variables.certificate, "it holds no certificate with its key"))?;
            Ok(client.identity(identity))
        }
        (None, None) => Ok(client),
        (Some(_), None) => Err(unusable(variables.certificate, format!("{} isn't set", variables.key))),
        (None, Some(_)) => Err(unusable(variables.key, format!("{} isn't set", variables.certificate))),
    }
}

/// The certificates of a PEM text.
pub(super) fn certificates(variable: &str, pem: &[u8]) -> Result<Vec<Certificate>, SecretError> {
    match Certificate::from_pem_bundle(pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable(variable, "there are no PEM certificates in it")),
    }
}

/// The contents of a file that a variable names.
pub(super) fn read(variable: &str, path: &str) -> Result<Vec<u8>, SecretError> {
    std::fs::read(path).map_err(|error| unusable(variable, format!("{path}: {error}")))
}

/// The value of a header that nobody may see.
pub(super) fn secret_header(what: &str, text: &str) -> Result<HeaderValue, SecretError> {
    let mut value = HeaderValue::from_str(text.trim())
        .map_err(|_| unusable(what, "it holds characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What went wrong, without the address, which the caller tells.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", DEADLINE.as_secs());
    }
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    if causes.is_empty() { "the request can't be sent".to_owned() } else { causes.join(": ") }
}
