//! Those who shake hands properly and then talk rubbish, with and without a token.

use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::token::{Bearer, Token, TokenKind};
use kiln_proto::transport::{Credentials, Limits};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Interceptor as _;
use tower::{Service as _, ServiceExt as _};

use crate::farm::{Farm, Link, bounded};
use crate::raw::{Door, HTTP2, aside};

/// Bytes that mean nothing, the same each time.
fn garbage(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn rubbish_behind_a_handshake_ends_its_own_connection_and_nothing_else() {
    let farm = Farm::found_with(Limits { http1_too: true, ..Limits::default() }).await;
    let agent = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let huge_frame = [HTTP2, b"\xff\xff\xff\0\0\0\0\0\x01"].concat();
    let headers_of_nothing = [HTTP2, b"\0\0\x04\x01\x04\0\0\0\x01\xff\xff\xff\xff"].concat();
    let data_of_nobody = [HTTP2, b"\0\0\x01\0\0\0\0\0\x07x"].concat();
    let table: [(&[u8], Vec<u8>); 8] = [
        (b"h2", garbage(100_000)),
        (b"h2", [HTTP2, &garbage(100_000)].concat()),
        (b"h2", huge_frame),
        (b"h2", headers_of_nothing),
        (b"h2", data_of_nobody),
        (b"http/1.1", garbage(100_000)),
        (b"http/1.1", b"GET /healthz HTTP/9.9\r\n\r\n".to_vec()),
        (b"http/1.1", [&b"GET /"[..], &vec![b'a'; 1 << 20], b" HTTP/1.1\r\n\r\n"].concat()),
    ];
    for (protocol, bytes) in table {
        let door = Door::of(&farm, protocol);
        let said = aside(move || {
            let mut raw = door.open();
            raw.send(&bytes);
            raw.rest()
        });
        bounded(said).await.unwrap();
        link.exchange(vec![]).await.unwrap();
    }
    let newcomer = farm.agent().await;
    Link::open(farm.channel(&newcomer.credentials), newcomer.id).await.unwrap();
}

/// What a method answers to these bytes, and in how many words.
async fn call(farm: &Farm, token: Option<&Token>, path: &str, bytes: &[u8]) -> Response<Body> {
    let credentials = Credentials::anonymous(farm.operator.trust()).unwrap();
    let mut channel = farm.channel(&credentials);
    let mut request = Request::builder()
        .method("POST")
        .uri(format!("https://coordinator.kiln{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(axum::body::Body::from(bytes.to_vec())))
        .unwrap();
    if let Some(token) = token {
        let shown = Bearer::of(token).call(tonic::Request::new(())).unwrap().into_parts().0;
        request.headers_mut().extend(shown.into_headers());
    }
    bounded(async { channel.ready().await.unwrap().call(request).await }).await.unwrap()
}

#[tokio::test]
async fn rubbish_in_messages_is_refused_by_every_method() {
    let farm = Farm::found().await;
    let forged = Token::new(TokenKind::Client, farm.operator.id(), [9; 32], Fingerprint::of_bytes(b""));
    let bodies: [&[u8]; 5] =
        [b"", b"\0\0\0\0\x05\xff\xff\xff\xff\xff", b"\0\xff\xff\xff\xff", b"\x01\0\0\0\x01x", &[0x80; 300]];
    let methods = [
        "Submission/Submit",
        "Submission/Follow",
        "Submission/Cancel",
        "Submission/Answer",
        "Submission/FindBundle",
        "Submission/PutBundle",
        "Submission/AskData",
        "Farm/GetBuild",
        "Farm/SetDraining",
        "Images/ShowImage",
        "Identity/Enrol",
        "Identity/Renew",
        "Identity/CreateToken",
        "AgentLink/Synchronize",
        "AgentLink/FetchBundle",
        "Peer/Append",
        "Nothing/AtAll",
    ];
    for method in methods {
        for body in bodies {
            let path = format!("/kiln.v1.{method}");
            for token in [Some(&farm.operator), Some(&forged), None] {
                let answer = call(&farm, token, &path, body).await;
                let status = answer.headers().get("grpc-status").map(|status| status.to_str().unwrap());
                assert!(!matches!(status, None | Some("0")), "{method} {body:?}: {:?}", answer.headers());
                let known = method.starts_with("Identity/") && method != "Identity/CreateToken";
                if token != Some(&farm.operator) && !known && method != "Nothing/AtAll" {
                    assert_eq!(status, Some("16"), "{method}: who isn't known is told so, and no more");
                }
            }
        }
    }
    let agent = farm.agent().await;
    Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
}
