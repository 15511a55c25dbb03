//! Where the credentials of a request come from, in the order of AWS's own clients.
//!
//! ```text
//!   variables: AWS_ACCESS_KEY_ID … ──► role of an identity: AWS_WEB_IDENTITY_TOKEN_FILE
//!     ──► the profile: a role, or keys ──► container: AWS_CONTAINER_CREDENTIALS_… ──► metadata of the EC2 instance
//! ```
//!
//! Ways that aren't built in (single sign-on, processes, second factors) are told as such and never passed over: the next
//! one could be somebody else's.

use std::time::Duration;

use kiln_plan::Sensitive;
use reqwest::Url;
use serde_json::Value;

use super::super::SecretError;
use super::super::environment::{Environment, unusable};
use super::super::service::{self, Service};
use super::profile::Profile;
use super::role::{Desk, Role};

const METADATA: &str = "http://169.254.169.254";
const CONTAINERS: &str = "http://169.254.170.2";
/// Services beside the machine answer at once, or aren't there.
const NEAR: Duration = Duration::from_secs(2);
/// How long the token for the metadata is good, in seconds.
const TOKEN_SECONDS: &str = "300";

/// What requests are signed with.
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: Sensitive<String>,
    /// For credentials that end.
    pub(super) session_token: Option<Sensitive<String>>,
}

impl Credentials {
    fn new(access_key: &str, secret_key: &str, session_token: Option<&str>) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret_key: Sensitive::new(secret_key.to_owned()),
            session_token: session_token.map(|token| Sensitive::new(token.to_owned())),
        }
    }

    /// What must be hidden in whatever a service says.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let token = self.session_token.iter().map(|token| token.reveal().as_str());
        token.chain([self.secret_key.reveal().as_str()]).collect()
    }
}

/// The first credentials that there are.
pub(super) async fn find(
    environment: &Environment,
    profile: &Profile,
    region: &str,
) -> Result<Credentials, SecretError> {
    const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    if let Some(credentials) = of_variables(environment)? {
        return Ok(credentials);
    }
    let desk = Desk { environment, region };
    if let Some(path) = environment.get(TOKEN_FILE) {
        let arn = environment.get("AWS_ROLE_ARN");
        let unset = SecretError::Unset { variable: "AWS_ROLE_ARN", hint: "AWS_WEB_IDENTITY_TOKEN_FILE is" };
        let session = environment.get("AWS_ROLE_SESSION_NAME");
        let role = Role { arn: arn.ok_or(unset)?, session, external_id: None };
        return desk.assume_with_identity(&role, (TOKEN_FILE, path)).await;
    }
    if let Some(arn) = profile.get("role_arn") {
        let (session, external_id) = (profile.get("role_session_name"), profile.get("external_id"));
        return of_role(&desk, profile, &Role { arn, session, external_id }).await;
    }
    if let Some(credentials) = of_profile(profile)? {
        return Ok(credentials);
    }
    match of_container(environment).await? {
        Some(credentials) => Ok(credentials),
        None => of_instance(environment).await,
    }
}

/// A role that a profile names, with who may take it.
async fn of_role(desk: &Desk<'_>, profile: &Profile, role: &Role<'_>) -> Result<Credentials, SecretError> {
    let what = format!("the AWS profile {:?}", profile.name);
    if profile.get("mfa_serial").is_some() {
        return Err(not_built_in(&what, "a role with a second factor"));
    }
    if let Some(path) = profile.get("web_identity_token_file") {
        return desk.assume_with_identity(role, ("web_identity_token_file", path)).await;
    }
    let nobody = |reason: &str| unusable(&what, reason);
    let source = match (profile.get("source_profile"), profile.get("credential_source")) {
        (Some(name), _) => {
            let source = Profile::named(desk.environment, name)?
                .ok_or_else(|| nobody(&format!("no AWS file has its source_profile {name:?}")))?;
            if name != profile.name && source.get("role_arn").is_some() {
                return Err(not_built_in(&what, "a role to be taken from another role"));
            }
            of_profile(&source)?.ok_or_else(|| nobody(&format!("its source_profile {name:?} has no keys")))?
        }
        (None, Some("Environment")) => {
            of_variables(desk.environment)?.ok_or_else(|| nobody("there are no keys in the environment"))?
        }
        (None, Some("EcsContainer")) => of_container(desk.environment)
            .await?
            .ok_or_else(|| nobody("there are no credentials for this container"))?,
        (None, Some("Ec2InstanceMetadata")) => of_instance(desk.environment).await?,
        (None, Some(other)) => return Err(nobody(&format!("there is no credential_source {other:?}"))),
        (None, None) => {
            return Err(nobody("it has a role, but neither source_profile nor credential_source"));
        }
    };
    desk.assume(role, &source).await
}

fn of_variables(environment: &Environment) -> Result<Option<Credentials>, SecretError> {
    let access_key = environment.first(&["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]);
    let secret_key = environment.first(&["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]);
    let half = |variable| SecretError::Unset { variable, hint: "the other half of the AWS credentials is" };
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Ok(Some(Credentials::new(access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(half("AWS_ACCESS_KEY_ID")),
        (Some(_), None) => Err(half("AWS_SECRET_ACCESS_KEY")),
    }
}

fn of_profile(profile: &Profile) -> Result<Option<Credentials>, SecretError> {
    let others = [
        ("credential_process", "credentials of a process"),
        ("sso_session", "single sign-on"),
        ("sso_start_url", "single sign-on"),
        ("login_session", "a login of the AWS CLI"),
    ];
    let what = format!("the AWS profile {:?}", profile.name);
    let keys = (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key"));
    let other = others.iter().find(|(key, _)| profile.get(key).is_some());
    match (keys, other) {
        ((Some(access_key), Some(secret_key)), _) => {
            Ok(Some(Credentials::new(access_key, secret_key, profile.get("aws_session_token"))))
        }
        ((Some(_), None) | (None, Some(_)), _) => {
            Err(unusable(&what, "it has only one of aws_access_key_id and aws_secret_access_key"))
        }
        ((None, None), Some((_, way))) => Err(not_built_in(&what, way)),
        ((None, None), None) => Ok(None),
    }
}

fn not_built_in(what: &str, way: &str) -> SecretError {
    let advice = "put credentials into the environment, for example by `aws configure export-credentials --format env`";
    unusable(what, format!("it asks for {way}, which isn't built in; {advice}"))
}

async fn of_container(environment: &Environment) -> Result<Option<Credentials>, SecretError> {
    let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let (variable, address) = match (relative, environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        (Some(path), _) => ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", format!("{CONTAINERS}{path}")),
        (None, Some(address)) => ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.to_owned()),
        (None, None) => return Ok(None),
    };
    let client = service::client().connect_timeout(NEAR).no_proxy();
    let service = Service::at("the container's credential service", variable, &address, client)?;
    if !may_hand_out_credentials(&service.base) {
        return Err(unusable(variable, "without https only this machine's own addresses are trusted"));
    }
    let mut request = service.client.get(service.base.clone());
    const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let token = match environment.get(TOKEN_FILE) {
        Some(path) => Some(String::from_utf8_lossy(&service::read(TOKEN_FILE, path)?).into_owned()),
        None => environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    if let Some(token) = &token {
        request = request.header("authorization", service::secret_header(TOKEN_FILE, token)?);
    }
    let answer = service.send(request).await?;
    match answer.status {
        200 => handed_out(&answer.body).map(Some).ok_or_else(|| service.senseless()),
        status => Err(service.refused(status, "", &[])),
    }
}

/// Where a credential service may be: the loopback, and the addresses of ECS and EKS.
fn may_hand_out_credentials(address: &Url) -> bool {
    let near = ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
    address.scheme() == "https" || address.host_str().is_some_and(|host| near.contains(&host))
}

async fn of_instance(environment: &Environment) -> Result<Credentials, SecretError> {
    let none = || SecretError::Unset {
        variable: "AWS_ACCESS_KEY_ID",
        hint: "and there are no AWS credentials in the profile, for this container or for this instance",
    };
    if environment.flag("AWS_EC2_METADATA_DISABLED")? {
        return Err(none());
    }
    const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let client = service::client().connect_timeout(NEAR).timeout(NEAR).no_proxy();
    let address = environment.get(VARIABLE).unwrap_or(METADATA);
    let service = Service::at("the metadata of the EC2 instance", VARIABLE, address, client)?;
    let request = service.client.put(service.url(["latest", "api", "token"]));
    let token = service.send(request.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)).await;
    // Most machines aren't instances, and nobody is there.
    let token = token.ok().filter(|answer| answer.status == 200).ok_or_else(none)?;
    let token = service::secret_header("the token of the EC2 metadata", &token.body)?;
    let roles = ["latest", "meta-data", "iam", "security-credentials"];
    let ask = async |segments: &[&str], slash: bool| {
        let last = slash.then_some("");
        let url = service.url(segments.iter().copied().chain(last));
        let answer =
            service.send(service.client.get(url).header("x-aws-ec2-metadata-token", token.clone())).await?;
        match answer.status {
            200 => Ok(answer.body),
            404 => Err(none()),
            status => Err(service.refused(status, "", &[])),
        }
    };
    let listed = ask(&roles, true).await?;
    let role = listed.lines().next().map(str::trim).filter(|role| !role.is_empty()).ok_or_else(none)?;
    let path: Vec<&str> = roles.into_iter().chain([role]).collect();
    handed_out(&ask(&path, false).await?).ok_or_else(|| service.senseless())
}

/// What credential services answer.
fn handed_out(body: &str) -> Option<Credentials> {
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    Some(Credentials::new(text("AccessKeyId")?, text("SecretAccessKey")?, text("Token")))
}
