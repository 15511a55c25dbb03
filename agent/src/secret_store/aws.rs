//! AWS Secrets Manager: `GetSecretValue` for the version that is current.
//!
//! Region: `AWS_REGION`, `AWS_DEFAULT_REGION`, or that of the profile. Endpoint: `AWS_ENDPOINT_URL_SECRETS_MANAGER`,
//! `AWS_ENDPOINT_URL`, the profile's `endpoint_url`, or the region's. `AWS_CA_BUNDLE` names authorities.

use kiln_plan::Sensitive;
use serde_json::{Value, json};

use self::credentials::Credentials;
use self::profile::Profile;
use self::signature::{Request, Scope};
use super::SecretError;
use super::environment::{Environment, unusable};
use super::service::{self, Service, TrustVariables};

mod credentials;
mod profile;
mod role;
mod signature;

const NAME: &str = "AWS Secrets Manager";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "secretsmanager.GetSecretValue";

/// The text of a secret.
pub(super) async fn fetch(environment: &Environment, name: &str) -> Result<Sensitive<String>, SecretError> {
    if name.is_empty() {
        return Err(SecretError::Missing("the name of an AWS secret must not be empty".to_owned()));
    }
    let profile = Profile::of(environment)?;
    let region = region(environment, &profile)?;
    let (variable, endpoint) = endpoint(environment, &profile, &region);
    let trust = TrustVariables { authorities: "AWS_CA_BUNDLE", ..TrustVariables::default() };
    let store = Service::at(NAME, &variable, &endpoint, service::trusting_client(environment, trust)?)?;
    let credentials = credentials::find(environment, &profile, &region).await?;
    let question = json!({ "SecretId": name, "VersionStage": "AWSCURRENT" }).to_string();
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
    let scope = Scope { region: &region, service: "secretsmanager", at: jiff::Timestamp::now() };
    let answer = ask(&store, &headers, question, Some((&scope, &credentials))).await?;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        return Err(refused(&store, &credentials, &body, (answer.status, name, &region)));
    }
    match body.get("SecretString") {
        Some(Value::String(text)) => Ok(Sensitive::new(text.clone())),
        _ if body.get("SecretBinary").is_some() => Err(SecretError::Missing(format!(
            "the AWS secret {name:?} is binary; only text can be used in a template"
        ))),
        _ => Err(store.senseless()),
    }
}

/// Sends a POST, signed if there is something to sign with.
async fn ask(
    store: &Service,
    headers: &[(&str, &str)],
    body: String,
    signing: Option<(&Scope<'_>, &Credentials)>,
) -> Result<service::Answer, SecretError> {
    let url = store.url([]);
    let added = signing.map(|(scope, credentials)| {
        let request = Request { method: "POST", url: &url, headers, body: body.as_bytes() };
        signature::headers(&request, scope, credentials)
    });
    let mut request = store.client.post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    for (name, value) in added.into_iter().flatten() {
        request = request.header(name, service::secret_header("an AWS credential", &value)?);
    }
    store.send(request).await
}

/// The address of a service in a region.
fn regional(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

fn refused(
    store: &Service,
    credentials: &Credentials,
    body: &Value,
    (status, name, region): (u16, &str, &str),
) -> SecretError {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let kind = text("__type").unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    if kind == "ResourceNotFoundException" {
        let hint = "or its current version has no value";
        return SecretError::Missing(format!(
            "AWS Secrets Manager has no secret {name:?} in {region}, {hint}"
        ));
    }
    let words = match text("Message").or_else(|| text("message")) {
        Some(message) => format!("{kind}: {message}"),
        None => kind.to_owned(),
    };
    store.refused(status, &words, &credentials.secrets())
}

fn region(environment: &Environment, profile: &Profile) -> Result<String, SecretError> {
    let of_environment = environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let region = of_environment.or_else(|| profile.get("region")).ok_or(SecretError::Unset {
        variable: "AWS_REGION",
        hint: "set it to the region of the secret, or `region` in the profile",
    })?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match region.chars().all(plain) {
        true => Ok(region.to_owned()),
        false => Err(unusable("the AWS region", format!("{region:?} is no name of one"))),
    }
}

/// Where the service is, and what tells that.
fn endpoint(environment: &Environment, profile: &Profile, region: &str) -> (String, String) {
    let variables = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];
    let given = variables.iter().find_map(|name| Some((*name, environment.get(name)?)));
    let given = given.or_else(|| Some(("endpoint_url of the profile", profile.get("endpoint_url")?)));
    match given {
        Some((variable, address)) => (variable.to_owned(), address.to_owned()),
        None => ("the AWS region".to_owned(), regional("secretsmanager", region)),
    }
}

/// What `aws_secretsmanager` makes of a secret's text, with Packer's rules: text that isn't JSON is the value itself; of a JSON
/// object the field, or the only one; numbers lose their fraction. JSON that is no object is the value too.
pub(super) fn field(text: &str, name: &str, key: Option<&str>) -> Result<Sensitive<String>, SecretError> {
    let missing = |reason: String| SecretError::Missing(format!("the AWS secret {name:?} {reason}"));
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) if key.is_some() => return Err(missing("is no JSON object, so it has no keys".to_owned())),
        Ok(_) | Err(_) => return Ok(Sensitive::new(text.to_owned())),
    };
    let value = match key {
        Some(key) => fields.get(key).ok_or_else(|| missing(format!("has no key {key:?}")))?,
        None if fields.len() > 1 => {
            return Err(missing("has several keys; name one of them as the second argument".to_owned()));
        }
        None => fields.values().next().ok_or_else(|| missing("has no keys".to_owned()))?,
    };
    match value {
        Value::String(text) => Ok(Sensitive::new(text.clone())),
        Value::Number(number) => {
            let number =
                number.as_f64().ok_or_else(|| missing("holds a number that is too large".to_owned()))?;
            Ok(Sensitive::new(format!("{number:.0}")))
        }
        _ => Err(missing("holds neither text nor a number there; use aws_secretsmanager_raw".to_owned())),
    }
}
