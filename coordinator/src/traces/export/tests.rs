use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::State;
use axum::http::HeaderMap as Headers;
use axum::routing::post;
use kiln_proto::otlp::Status;

use super::*;

/// A collector that answers so, one after the other, the last for ever.
struct Receiver {
    answers: Vec<u16>,
    asked: AtomicUsize,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: Headers, body: Body) -> StatusCode {
    let nth = receiver.asked.fetch_add(1, Ordering::SeqCst);
    let is_whole = headers["content-type"] == "application/x-protobuf"
        && headers["authorization"] == "Bearer x"
        && body.windows(5).any(|part| part == b"build");
    let answer = receiver.answers.get(nth).or(receiver.answers.last()).copied().unwrap_or(200);
    StatusCode::from_u16(if is_whole { answer } else { 400 }).unwrap()
}

/// What came of it, and how often the collector was asked.
async fn sent(answers: &[u16]) -> (String, usize) {
    let receiver = Arc::new(Receiver { answers: answers.to_vec(), asked: AtomicUsize::new(0) });
    let routes = Router::new().route("/in/v1/traces", post(receive)).with_state(Arc::clone(&receiver));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/in/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let headers = Sensitive::new("Authorization: Bearer x\n".to_owned());
    let collector = Collector::at(&address).unwrap().with_headers(&headers).unwrap();
    let patience = Patience { pause: Duration::from_millis(1), all: Duration::from_secs(2), ..PATIENCE };
    let sent = Exporter::patient(collector, 1, patience).unwrap().send(&[span()]).await;
    server.abort();
    (
        sent.map_or_else(|error| error.to_string(), |()| "sent".to_owned()),
        receiver.asked.load(Ordering::SeqCst),
    )
}

fn span() -> Span {
    Span {
        trace: [1; 16],
        id: [2; 8],
        parent: None,
        name: "build".to_owned(),
        start_ms: 1,
        end_ms: 2,
        attributes: Vec::new(),
        status: Status::Ok,
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    assert_eq!(sent(&[200]).await, ("sent".to_owned(), 1));
    assert_eq!(sent(&[503, 429, 504, 200]).await, ("sent".to_owned(), 4));
    assert_eq!(sent(&[400]).await, ("the collector answered 400 Bad Request".to_owned(), 1));
    let (told, asked) = sent(&[503]).await;
    assert_eq!(told, "the collector answered 503 Service Unavailable");
    assert!(asked > 2, "asked {asked} times");
}

#[test]
fn addresses_and_headers_are_checked() {
    let told = |address: &str| Collector::at(address).map(|collector| collector.url.to_string());
    assert_eq!(told("http://c:4318").unwrap(), "http://c:4318/v1/traces");
    assert_eq!(told("https://c.example/otlp/").unwrap(), "https://c.example/otlp/v1/traces");
    for wrong in ["", "c:4318", "grpc://c:4317", "http://", "http://c/?x=1"] {
        assert_eq!(told(wrong).unwrap_err(), CollectorError::Address, "{wrong}");
    }
    let collector = Collector::at("http://c").unwrap();
    let lines = Sensitive::new("X-Key: a:b\n\nno header\n".to_owned());
    assert_eq!(collector.clone().with_headers(&lines).unwrap_err(), CollectorError::Header(3));
    let told = format!("{:?}", collector.with_headers(&Sensitive::new("X-Key: secret".to_owned())));
    assert!(!told.contains("secret"), "{told}");
}
