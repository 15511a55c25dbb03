//! Roles: credentials that end, which the Security Token Service hands out for others or for the token of an identity.

use kiln_plan::Sensitive;
use reqwest::Url;

use super::super::SecretError;
use super::super::environment::{Environment, unusable};
use super::super::service::{self, Answer, Service, TrustVariables};
use super::credentials::Credentials;
use super::signature::Scope;

const NAME: &str = "the AWS Security Token Service";
const VERSION: &str = "2011-06-15";
const SESSION: &str = "kiln";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A role that somebody may take.
pub(super) struct Role<'a> {
    /// Its ARN.
    pub(super) arn: &'a str,
    /// What AWS's logs call the session; `kiln` if not given.
    pub(super) session: Option<&'a str>,
    /// What the role may ask for from strangers.
    pub(super) external_id: Option<&'a str>,
}

/// Where to ask for it.
pub(super) struct Desk<'a> {
    pub(super) environment: &'a Environment,
    pub(super) region: &'a str,
}

impl Desk<'_> {
    /// The role, for who has these credentials.
    pub(super) async fn assume(
        &self,
        role: &Role<'_>,
        credentials: &Credentials,
    ) -> Result<Credentials, SecretError> {
        let external_id = role.external_id.map(|id| ("ExternalId", id));
        let body = form("AssumeRole", role, external_id);
        let sts = self.service()?;
        let scope = Scope { region: self.region, service: "sts", at: jiff::Timestamp::now() };
        let headers = [("content-type", CONTENT_TYPE)];
        let answer = super::ask(&sts, &headers, body, Some((&scope, credentials))).await?;
        handed_out(&sts, &answer, &credentials.secrets())
    }

    /// The role, for the identity whose token is in a file. `variable` is what names the file.
    pub(super) async fn assume_with_identity(
        &self,
        role: &Role<'_>,
        (variable, path): (&str, &str),
    ) -> Result<Credentials, SecretError> {
        let token = String::from_utf8(service::read(variable, path)?);
        let token = token.map_err(|_| unusable(variable, format!("{path} isn't text")))?;
        let body = form("AssumeRoleWithWebIdentity", role, Some(("WebIdentityToken", token.trim())));
        let sts = self.service()?;
        let answer = super::ask(&sts, &[("content-type", CONTENT_TYPE)], body, None).await?;
        handed_out(&sts, &answer, &[token.trim()])
    }

    fn service(&self) -> Result<Service, SecretError> {
        let variables = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
        let given = variables.iter().find_map(|name| Some((*name, self.environment.get(name)?.to_owned())));
        let (variable, address) =
            given.unwrap_or_else(|| ("the AWS region", super::regional("sts", self.region)));
        let trust = TrustVariables { authorities: "AWS_CA_BUNDLE", ..TrustVariables::default() };
        Service::at(NAME, variable, &address, service::trusting_client(self.environment, trust)?)
    }
}

fn form(action: &str, role: &Role<'_>, more: Option<(&str, &str)>) -> String {
    let session = role.session.unwrap_or(SESSION);
    let pairs =
        [("Action", action), ("Version", VERSION), ("RoleArn", role.arn), ("RoleSessionName", session)];
    // The query of an address is a form.
    let mut form = Url::parse("form:").expect("a constant that is an address");
    form.query_pairs_mut().extend_pairs(pairs).extend_pairs(more);
    form.query().unwrap_or_default().to_owned()
}

fn handed_out(sts: &Service, answer: &Answer, sent: &[&str]) -> Result<Credentials, SecretError> {
    let text = |name| element(&answer.body, name);
    if answer.status != 200 {
        let words = [text("Code"), text("Message")].into_iter().flatten().collect::<Vec<_>>().join(": ");
        return Err(sts.refused(answer.status, &words, sent));
    }
    match (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken")) {
        (Some(access_key), Some(secret_key), Some(token)) => Ok(Credentials {
            access_key: access_key.to_owned(),
            secret_key: Sensitive::new(secret_key.to_owned()),
            session_token: Some(Sensitive::new(token.to_owned())),
        }),
        _ => Err(sts.senseless()),
    }
}

/// The text of the first element of that name. What is looked for holds no markup, and no entities but in messages.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}
