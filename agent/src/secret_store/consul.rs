//! Consul's key-value store, over `GET /v1/kv/<key>`.
//!
//! `CONSUL_HTTP_ADDR` (`127.0.0.1:8500`), `CONSUL_HTTP_SSL`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_TOKEN_FILE`,
//! `CONSUL_HTTP_AUTH`, `CONSUL_HTTP_SSL_VERIFY`, `CONSUL_CACERT`, `CONSUL_CAPATH`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY`,
//! `CONSUL_NAMESPACE`, `CONSUL_PARTITION`: as Consul's own client knows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_plan::Sensitive;
use serde_json::Value;

use super::SecretError;
use super::environment::{Environment, unusable};
use super::service::{self, Service, TrustVariables};

const NAME: &str = "Consul";
const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// The value of a key. One that is empty counts as missing, as in Packer.
pub(super) async fn fetch(environment: &Environment, key: &str) -> Result<Sensitive<String>, SecretError> {
    let key = key.strip_prefix('/').unwrap_or(key);
    if key.is_empty() {
        return Err(SecretError::Missing("consul_key needs the name of a key".to_owned()));
    }
    let consul = service(environment)?;
    let token = token(environment)?;
    let mut url = consul.url(["v1", "kv"].into_iter().chain(key.split('/')));
    let scopes = [("ns", "CONSUL_NAMESPACE"), ("partition", "CONSUL_PARTITION")];
    for (name, variable) in scopes {
        if let Some(value) = environment.get(variable) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let mut request = consul.client.get(url);
    if let Some(token) = &token {
        request = request.header("X-Consul-Token", service::secret_header("CONSUL_HTTP_TOKEN", token)?);
    }
    let login = environment.get("CONSUL_HTTP_AUTH");
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        request = request.basic_auth(user, Some(password));
    }
    let answer = consul.send(request).await?;
    match answer.status {
        200 => value(&answer.body, key).unwrap_or_else(|| Err(consul.senseless())),
        404 => Err(SecretError::Missing(format!("Consul has no key {key:?}"))),
        status => {
            let password = login.and_then(|login| login.split_once(':')).map(|(_, password)| password);
            let credentials: Vec<&str> = token.as_deref().into_iter().chain(password).collect();
            Err(consul.refused(status, &answer.body, &credentials))
        }
    }
}

fn service(environment: &Environment) -> Result<Service, SecretError> {
    let trust = TrustVariables {
        authorities: "CONSUL_CACERT",
        directory: "CONSUL_CAPATH",
        certificate: "CONSUL_CLIENT_CERT",
        key: "CONSUL_CLIENT_KEY",
    };
    let mut client = service::trusting_client(environment, trust)?;
    if environment.get("CONSUL_HTTP_SSL_VERIFY").is_some() && !environment.flag("CONSUL_HTTP_SSL_VERIFY")? {
        client = client.tls_danger_accept_invalid_certs(true);
    }
    let address = environment.get("CONSUL_HTTP_ADDR").unwrap_or(DEFAULT_ADDRESS);
    let tls = environment.flag("CONSUL_HTTP_SSL")?;
    let address = match address.split_once("://") {
        // What asks for TLS is never answered without.
        None if tls => format!("https://{address}"),
        None => format!("http://{address}"),
        Some(("http", rest)) if tls => format!("https://{rest}"),
        Some(_) => address.to_owned(),
    };
    Service::at(NAME, "CONSUL_HTTP_ADDR", &address, client)
}

/// The token to come with; that of a file goes before.
fn token(environment: &Environment) -> Result<Option<String>, SecretError> {
    const FILE: &str = "CONSUL_HTTP_TOKEN_FILE";
    if let Some(path) = environment.get(FILE) {
        let text = String::from_utf8(service::read(FILE, path)?);
        let text = text.map_err(|_| unusable(FILE, format!("{path} isn't text")))?;
        if !text.trim().is_empty() {
            return Ok(Some(text.trim().to_owned()));
        }
    }
    Ok(environment.get("CONSUL_HTTP_TOKEN").map(str::to_owned))
}

/// The value in Consul's answer; `None` when it isn't one.
fn value(body: &str, key: &str) -> Option<Result<Sensitive<String>, SecretError>> {
    let missing =
        |reason: &str| Some(Err(SecretError::Missing(format!("the value of {key:?} in Consul {reason}"))));
    let entries: Value = serde_json::from_str(body).ok()?;
    let bytes = match entries.get(0)?.get("Value")? {
        Value::Null => Vec::new(),
        Value::String(text) => STANDARD.decode(text).ok()?,
        _ => return None,
    };
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => missing("is empty"),
        Ok(text) => Some(Ok(Sensitive::new(text))),
        Err(_) => missing("isn't text"),
    }
}
