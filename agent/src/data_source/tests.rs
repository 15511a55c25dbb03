//! Questions in, answers out, against a server of the test.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use kiln_plan::build::TemplateContext;
use kiln_plan::{ComponentConfig, ComponentKind};

use super::*;

fn query(kind: &str, options: &[(&str, Value)]) -> DataQuery {
    let mut body = ConfigBody::default();
    options.iter().for_each(|(name, value)| body.set(name, value.clone()));
    let component =
        ComponentConfig { kind: ComponentKind::DataSource, name: kind.to_owned(), span: None, body };
    let facts = TemplateContext { core_version: "1.16.0".to_owned(), ..TemplateContext::default() };
    DataQuery { id: format!("{kind}.x"), component, facts, locals: BTreeMap::new() }
}

async fn ask(query: &DataQuery) -> DataAnswer {
    answer(query, &Factories::builtin(), CancellationToken::new()).await
}

async fn served() -> (String, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let reply = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let header = headers.get("x-token").map(|v| v.to_str().unwrap_or_default()).unwrap_or_default();
        let body = String::from_utf8_lossy(&body).into_owned();
        log.lock().unwrap().push(format!("{method} {} {header} {body}", uri.path()));
        let kind = if uri.path() == "/zip" { "application/zip" } else { "text/plain; charset=utf-8" };
        let status = if uri.path() == "/missing" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let text = if uri.path() == "/huge" { "x".repeat(17 << 20) } else { "hello".to_owned() };
        std::future::ready((status, [("content-type", kind), ("x-a", "1")], text))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(reply);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://user:pw@{address}"), heard)
}

#[tokio::test]
async fn null_answers_with_its_input_and_keeps_its_mark() {
    let plain = ask(&query("null", &[("input", Value::from("{{packer_version}}"))])).await;
    assert_eq!(format!("{:?}", plain.outcome), r#"Ok({"output": "1.16.0"})"#);
    let secret = ask(&query("null", &[("input", Value::from("s3cret").marked(true))])).await;
    assert_eq!(format!("{:?}", secret.outcome), r#"Ok({"output": (sensitive)})"#);
    let empty = ask(&query("null", &[("input", Value::from(""))])).await;
    assert!(empty.outcome.unwrap_err().contains("input must be specified"));
}

#[tokio::test]
async fn http_sends_what_it_is_told_and_answers_with_text_and_headers() {
    let (server, heard) = served().await;
    let headers = Value::object([("X-Token".to_owned(), Value::from("t"))]);
    let options = [
        ("url", Value::from(format!("{server}/page?q=1"))),
        ("method", Value::from("POST")),
        ("request_headers", headers),
        ("request_body", Value::from("sent")),
    ];
    let answer = ask(&query("http", &options)).await.outcome.unwrap();
    let entries = answer.as_entries().unwrap();
    assert_eq!(entries["body"], Value::from("hello"));
    assert_eq!(entries["url"], Value::from(format!("{server}/page?q=1")));
    let headers = entries["request_headers"].as_entries().unwrap();
    assert_eq!(
        (&headers["Content-Type"], &headers["X-A"]),
        (&Value::from("text/plain; charset=utf-8"), &Value::from("1"))
    );
    assert_eq!(*heard.lock().unwrap(), ["POST /page t sent"]);
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_credentials() {
    let (server, _) = served().await;
    let url = |path: &str| Value::from(format!("{server}{path}"));
    let cases = [
        (url("/missing?key=pw"), "was answered with 404 Not Found"),
        (url("/huge"), "is longer than 16 MiB"),
        (Value::from("http://user:pw@127.0.0.1:1/x?key=pw"), "cannot send GET http://127.0.0.1:1/x"),
        (Value::from("ftp://h/x"), "http and https are possible"),
        (Value::from(""), "the `url` must be specified"),
        (Value::from("http://h/{{nope}}"), "function \"nope\" not defined"),
    ];
    for (url, expected) in cases {
        let told = ask(&query("http", &[("url", url)])).await.outcome.unwrap_err();
        assert!(told.contains(expected) && !told.contains("pw"), "{told}");
    }
    let zip = ask(&query("http", &[("url", url("/zip"))])).await;
    assert!(zip.outcome.is_ok() && zip.notices[0].contains("application/zip"), "{:?}", zip.notices);
}

#[tokio::test]
async fn a_cancelled_question_ends_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let answer = answer(&query("http", &[("url", Value::from(url))]), &Factories::builtin(), cancel).await;
    assert!(answer.outcome.is_err());
}
