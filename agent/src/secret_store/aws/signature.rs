//! AWS Signature Version 4 in headers, for requests without a query.
//!
//! ```text
//!   method, path, headers, digest of the body ──► canonical request ──► string to sign ─┐
//!   secret key ──► date ──► region ──► service ──► "aws4_request" (HMAC each) ──► key ──┴──► signature
//! ```

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    /// Without a query.
    pub(super) url: &'a Url,
    /// Names in lower case.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// Where and when a signature holds.
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) at: Timestamp,
}

/// The headers that the request needs besides its own: `authorization`, `x-amz-date`, and `x-amz-security-token` for a
/// session.
pub(super) fn headers(
    request: &Request<'_>,
    scope: &Scope<'_>,
    credentials: &Credentials,
) -> Vec<(&'static str, String)> {
    let moment = scope.at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let (date, _) = moment.split_at(8);
    let mut added = vec![("x-amz-date", moment.clone())];
    added.extend(credentials.session_token.as_ref().map(|t| ("x-amz-security-token", t.reveal().clone())));
    let mut signed: Vec<(&str, String)> = vec![("host", host(request.url))];
    signed.extend(request.headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    signed.extend(added.iter().cloned());
    signed.sort();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let (method, path) = (request.method, request.url.path());
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{}", digest(request.body));
    let within = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!("{ALGORITHM}\n{moment}\n{within}\n{}", digest(canonical.as_bytes()));
    let secret = format!("AWS4{}", credentials.secret_key.reveal());
    let steps = [date, scope.region, scope.service, "aws4_request", text.as_str()];
    let signature = steps.iter().fold(secret.into_bytes(), |key, step| mac(&key, step.as_bytes()));
    let signature = hex::encode(signature);
    let key = &credentials.access_key;
    added.push((
        "authorization",
        format!("{ALGORITHM} Credential={key}/{within}, SignedHeaders={names}, Signature={signature}"),
    ));
    added
}

/// As the `Host` header has it: the port only where it isn't the usual one.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use kiln_plan::Sensitive;

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    /// Of AWS's published test suite the vectors `get-vanilla`, `post-vanilla` and `post-x-www-form-urlencoded`; then one with
    /// a session and one with a port, whose signatures botocore made.
    #[test]
    fn signatures_are_those_of_the_published_vectors() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/x-amz-json-1.1");
        let target = ("x-amz-target", "secretsmanager.GetSecretValue");
        let session = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGd";
        let vanilla = "https://example.amazonaws.com/";
        let secret = "https://secretsmanager.eu-central-1.amazonaws.com/";
        let question = r#"{"SecretId":"prod/db","VersionStage":"AWSCURRENT"}"#;
        let table: [(&str, &str, Headers<'_>, &str, &str); 5] = [
            (
                "GET",
                vanilla,
                &[],
                "",
                "host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                vanilla,
                &[],
                "",
                "host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "POST",
                vanilla,
                &[form],
                "Param1=value1",
                "content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "POST",
                secret,
                &[json, target],
                question,
                "content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=2660d8e82eb13b0a8fc3d45ac29a47ed5493ea77f463cd146c70dfd403aeb2f5",
            ),
            (
                "POST",
                "http://127.0.0.1:5000/",
                &[json],
                "{}",
                "content-type;host;x-amz-date, Signature=090a720cc6a6ed7040948c6b5d9f15d1224329359b4e62bb61762020460e084d",
            ),
        ];
        for (method, url, headers, body, expected) in table {
            let of_session = url == secret;
            let credentials = Credentials {
                access_key: "AKIDEXAMPLE".to_owned(),
                secret_key: Sensitive::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
                session_token: of_session.then(|| Sensitive::new(session.to_owned())),
            };
            let (region, service) =
                if of_session { ("eu-central-1", "secretsmanager") } else { ("us-east-1", "service") };
            let scope = Scope { region, service, at: "2015-08-30T12:36:00Z".parse().expect("a moment") };
            let url = Url::parse(url).expect("an address");
            let request = Request { method, url: &url, headers, body: body.as_bytes() };
            let added = super::headers(&request, &scope, &credentials);
            let (_, authorization) = added.last().expect("the last one");
            let start = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{region}/{service}/aws4_request, SignedHeaders="
            );
            assert_eq!(authorization, &format!("{start}{expected}"));
            assert!(added.contains(&("x-amz-date", "20150830T123600Z".to_owned())));
        }
    }
}
