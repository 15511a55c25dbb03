//! The JSON API: as scripts ask it, in both versions of HTTP, at any coordinator.

use std::time::Duration;

use kiln_plan::id::BuildId;
use kiln_proto::token::Token;
use kiln_proto::transport::Limits;
use kiln_proto::v1;
use reqwest::Version;
use serde_json::Value;

use crate::farm::{Farm, Link, bounded};
use crate::people::submit;

/// A client that was given the authority's certificate, and speaks one version of HTTP.
fn client(farm: &Farm, version: Version) -> reqwest::Client {
    // The first test of the process has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = std::fs::read(farm.place.authority()).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let builder = reqwest::Client::builder().tls_certs_only([authority]);
    match version {
        Version::HTTP_11 => builder.http1_only().build().unwrap(),
        _ => builder.build().unwrap(),
    }
}

/// The status and the body of an answer.
async fn http(
    (farm, version): (&Farm, Version),
    (method, path): (&str, &str),
    token: Option<&Token>,
) -> (u16, String) {
    let url = format!("{}{path}", farm.endpoint);
    let mut request = client(farm, version).request(method.parse().unwrap(), url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.reveal()));
    }
    let answer = bounded(request.send()).await.unwrap();
    assert_eq!(answer.version(), version);
    (answer.status().as_u16(), bounded(answer.text()).await.unwrap())
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn http_takes_the_same_tokens_for_the_same_things() {
    let farm = Farm::found_with(Limits { http1_too: true, ..Limits::default() }).await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let viewer = farm.client_token(v1::Role::Viewer, None).await;
    let builder = farm.client_token(v1::Role::Builder, None).await;
    let join = farm.join_token().await;
    for version in VERSIONS {
        let build = submit(&farm, &farm.operator).await.unwrap();
        let (cancel, drain) =
            (format!("/v1/builds/{build}/cancel"), format!("/v1/agents/{}/drain", agent.id));
        let undrain = format!("/v1/agents/{}/undrain", agent.id);
        let table = [
            ("GET", "/healthz", None, 200),
            ("GET", "/readyz", None, 200),
            ("GET", "/v1/openapi.json", None, 200),
            ("GET", "/v1/builds", None, 401),
            ("GET", "/v1/builds", Some(&join), 401),
            ("GET", "/v1/builds", Some(&viewer), 200),
            ("GET", "/v1/builds?most=x", Some(&viewer), 400),
            ("GET", "/v1/nothing", Some(&viewer), 404),
            ("GET", "/nothing", Some(&viewer), 404),
            ("POST", "/kiln.v1.Farm/GetOverview", None, 401),
            ("POST", &cancel, None, 401),
            ("POST", &cancel, Some(&viewer), 403),
            ("POST", &cancel, Some(&builder), 204),
            ("POST", &drain, Some(&builder), 403),
            ("POST", &drain, Some(&farm.operator), 204),
            ("POST", &undrain, Some(&farm.operator), 204),
        ];
        for (method, path, token, expected) in table {
            let (status, body) = http((&farm, version), (method, path), token).await;
            assert_eq!(status, expected, "{version:?} {method} {path} {token:?}: {body}");
        }
        let audit = farm.audit();
        let refused = format!(r#""act":"POST {cancel}","outcome":"forbidden""#);
        assert!(
            audit.contains(&refused) && audit.contains(&format!(r#""act":"POST {cancel}","outcome":"done""#))
        );
    }
}

#[tokio::test]
async fn a_coordinator_that_does_not_lead_passes_http_on_to_the_leader() {
    let mut farm = Farm::of_three().await;
    let agent = farm[0].agent().await;
    let _link = Link::open(farm[0].channel(&agent.credentials), agent.id).await.unwrap();
    let viewer = farm[0].client_token(v1::Role::Viewer, None).await;
    for (follower, version) in [(1, VERSIONS[0]), (2, VERSIONS[1])] {
        let build: BuildId = submit(&farm[0], &farm[0].operator).await.unwrap();
        let (asked, operator) = (&farm[follower], farm[0].operator.clone());
        let at = (asked, version);
        let path = format!("/v1/builds/{build}");
        let (status, body) = http(at, ("GET", &path), Some(&viewer)).await;
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, told["id"].as_str()), (200, Some(build.to_string().as_str())), "{body}");
        let cancel = format!("{path}/cancel");
        assert_eq!(http(at, ("POST", &cancel), Some(&viewer)).await.0, 403, "the leader knows who asks");
        assert_eq!(http(at, ("POST", &cancel), None).await.0, 401);
        assert_eq!(http(at, ("POST", &cancel), Some(&operator)).await.0, 204);
        assert_eq!(http(at, ("GET", "/readyz"), None).await, (200, "ready\n".to_owned()));
        let (status, members) = http(at, ("GET", "/v1/members"), Some(&viewer)).await;
        assert_eq!((status, members.matches("leader").count()), (200, 1), "{members}");
        assert_eq!(http(at, ("GET", "/metrics"), None).await.0, 200);
    }
    // Alone, it says in JSON that it can't.
    let lonely = farm.pop().unwrap();
    for other in farm {
        other.handle.shut_down(Duration::from_secs(10)).await;
    }
    let alone = async {
        loop {
            let answer = http((&lonely, VERSIONS[1]), ("GET", "/v1/farm"), Some(&viewer)).await;
            if answer.0 == 503 {
                break answer.1;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let told: Value = serde_json::from_str(&bounded(alone).await).unwrap();
    assert!(told["error"].is_string(), "{told}");
}
