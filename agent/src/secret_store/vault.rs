//! HashiCorp Vault's key-value engines, over `GET /v1/<path>`.
//!
//! Version 2 wraps the fields once more than version 1: `{"data": {"data": {…}, "metadata": …}}` for `{"data": {…}}`. As in
//! Packer the path is that of the API, so that for version 2 it has `data` in it.
//!
//! `VAULT_ADDR` (`https://127.0.0.1:8200`), `VAULT_TOKEN`, `VAULT_NAMESPACE`, `VAULT_CACERT`, `VAULT_CACERT_BYTES`,
//! `VAULT_CAPATH`, `VAULT_CLIENT_CERT`, `VAULT_CLIENT_KEY`, `VAULT_SKIP_VERIFY`: as Vault's own client knows them.

use kiln_plan::Sensitive;
use reqwest::redirect::Policy;
use serde_json::{Map, Value};

use super::SecretError;
use super::environment::Environment;
use super::service::{self, Service, TrustVariables};

const NAME: &str = "Vault";
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";
/// A standby server sends its clients to the active one.
const MOST_REDIRECTS: usize = 2;
/// How many of a secret's keys a complaint lists.
const MOST_KEYS: usize = 10;

/// The body of Vault's answer for a path.
pub(super) async fn fetch(environment: &Environment, path: &str) -> Result<Sensitive<String>, SecretError> {
    let token = environment.get("VAULT_TOKEN").ok_or(SecretError::Unset {
        variable: "VAULT_TOKEN",
        hint: "set it to a token that may read the secret, to use the vault function",
    })?;
    let vault = service(environment)?;
    let mut request = vault
        .client
        .get(vault.url(["v1"].into_iter().chain(path.split('/').filter(|part| !part.is_empty()))))
        .header("X-Vault-Request", "true")
        .header("X-Vault-Token", service::secret_header("VAULT_TOKEN", token)?);
    if let Some(namespace) = environment.get("VAULT_NAMESPACE") {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let answer = vault.send(request).await?;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    match answer.status {
        200 if body.is_object() => Ok(Sensitive::new(answer.body)),
        200 => Err(vault.senseless()),
        // A deleted secret, which has metadata, or one that Vault has advice about.
        404 if body["data"].is_object() || !sentences(&body, "warnings").is_empty() => {
            Ok(Sensitive::new(answer.body))
        }
        204 | 404 => Err(absent(path, &body)),
        status => Err(vault.refused(status, &sentences(&body, "errors"), &[token])),
    }
}

fn service(environment: &Environment) -> Result<Service, SecretError> {
    let trust = TrustVariables {
        authorities: "VAULT_CACERT",
        directory: "VAULT_CAPATH",
        certificate: "VAULT_CLIENT_CERT",
        key: "VAULT_CLIENT_KEY",
    };
    let mut client = service::trusting_client(environment, trust)?;
    if let Some(pem) = environment.get("VAULT_CACERT_BYTES") {
        client = client.tls_certs_only(service::certificates("VAULT_CACERT_BYTES", pem.as_bytes())?);
    }
    if environment.flag("VAULT_SKIP_VERIFY")? {
        client = client.tls_danger_accept_invalid_certs(true);
    }
    let address = environment.get("VAULT_ADDR").unwrap_or(DEFAULT_ADDRESS);
    // The token goes along, as with Vault's own client, but never from https to http.
    let follow = Policy::custom(|attempt| {
        let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        match () {
            () if attempt.previous().len() > MOST_REDIRECTS => attempt.stop(),
            () if was_safe && attempt.url().scheme() != "https" => attempt.stop(),
            () => attempt.follow(),
        }
    });
    Service::at(NAME, "VAULT_ADDR", address, client.redirect(follow))
}

/// A field of a secret, out of the body of Vault's answer. Numbers and booleans are text as JSON writes them.
pub(super) fn field(body: &str, path: &str, key: &str) -> Result<Sensitive<String>, SecretError> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let Value::Object(data) = &body["data"] else { return Err(absent(path, &body)) };
    let fields = match data.get("data") {
        Some(Value::Object(fields)) => fields,
        Some(Value::Null) if data.contains_key("metadata") => {
            return Err(SecretError::Missing(format!(
                "the newest version of the secret at {path:?} is deleted in Vault"
            )));
        }
        // A field of version 1 that happens to have this name.
        _ => data,
    };
    match fields.get(key) {
        Some(Value::String(text)) => Ok(Sensitive::new(text.clone())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Sensitive::new(value.to_string())),
        Some(_) => Err(SecretError::Missing(format!(
            "the value of {key:?} in Vault's secret at {path:?} isn't text"
        ))),
        None => Err(SecretError::Missing(format!(
            "Vault's secret at {path:?} has no key {key:?}; {}",
            keys(fields)
        ))),
    }
}

fn keys(fields: &Map<String, Value>) -> String {
    let names: Vec<String> = fields.keys().take(MOST_KEYS).map(|name| format!("{name:?}")).collect();
    match fields.len() {
        0 => "it has none at all".to_owned(),
        count if count > MOST_KEYS => format!("it has {} and {} more", names.join(", "), count - MOST_KEYS),
        _ => format!("it has {}", names.join(", ")),
    }
}

fn absent(path: &str, body: &Value) -> SecretError {
    let advice = sentences(body, "warnings");
    let advice = if advice.is_empty() { advice } else { format!(" ({})", advice.trim_end_matches('.')) };
    let hint = "for version 2 of the key-value engine the path has \"data\" after the engine's name";
    SecretError::Missing(format!("Vault has no secret at {path:?}{advice}; {hint}"))
}

/// What Vault says in a list of its answer.
fn sentences(body: &Value, list: &str) -> String {
    let list = body[list].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::trim).collect::<Vec<_>>().join("; ").replace('\n', " ")
}
