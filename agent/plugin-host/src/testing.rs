//! What tests of plug-ins need: programs that describe themselves, archives of them, and a server that has them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode, header};
use kiln_component::Journal;
use reqwest::Url;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;

use crate::checksum;
use crate::platform::Platform;
use crate::store::Store;

/// A store in a directory.
pub(crate) fn store(directory: &Path) -> Store {
    Store::new(directory.to_owned(), Journal::in_memory(), CancellationToken::new())
}

/// A program that describes itself: a real process, if a small one.
pub(crate) fn program(version: &str, api: &str) -> Vec<u8> {
    let said = format!(
        r#"{{"version":"{version}","sdk_version":"0.6.10","api_version":"{api}","builders":["my-builder"],"post_processors":null,"provisioners":[],"datasources":[],"protocol_version":"v2"}}"#
    );
    format!("#!/bin/sh\n[ \"$1\" = describe ] || exit 1\necho '{said}'\n").into_bytes()
}

/// A zip archive with one member.
pub(crate) fn archive(member: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(member, SimpleFileOptions::default()).expect("memory has room");
    writer.write_all(content).expect("memory has room");
    writer.finish().expect("memory has room").into_inner()
}

/// A line of a list of checksums.
pub(crate) fn sum_line(content: &[u8], file: &str) -> String {
    format!("{}  {file}\n", hex::encode(Sha256::digest(content)))
}

/// Puts a program where plug-ins lie, with its checksum unless `sum` says otherwise.
pub(crate) fn put(directory: &Path, path: &str, content: &[u8], sum: Option<&str>) {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(path);
    std::fs::create_dir_all(path.parent().expect("it is below")).expect("the place is ours");
    kiln_component::process::write_script(&path, content).expect("it is new");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let own = hex::encode(Sha256::digest(content));
    let sum = sum.unwrap_or(&own);
    if !sum.is_empty() {
        std::fs::write(checksum::companion(&path), sum).expect("the place is ours");
    }
}

/// `linux_amd64`
pub(crate) fn here() -> String {
    Platform::current().to_string()
}

/// What a server says to a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Content(Vec<u8>),
    Status(u16, Vec<(&'static str, String)>),
}

/// A path that was asked for, and the token that came along.
type Asked = (String, Option<String>);

/// A server that has what a table says; everything else is not found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    table: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Site {
    /// Starts it, until the test's runtime ends.
    pub(crate) async fn start() -> (Self, Url) {
        let site = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let router = Router::new().fallback(answer).with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (site, Url::parse(&format!("http://{address}/")).expect("it is a URL"))
    }

    pub(crate) fn has(&self, path: impl Into<String>, answer: Answer) -> &Self {
        self.table.lock().expect("no panic").insert(path.into(), answer);
        self
    }

    pub(crate) fn content(&self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> &Self {
        self.has(path, Answer::Content(content.into()))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Where a server promises `promised` bytes to everybody, sends `content` and hangs up.
pub(crate) fn cutting(content: &'static [u8], promised: usize) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n");
            // A client that has gone is no concern of this server.
            let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content));
        }
    });
    Answer::Status(302, vec![("location", format!("http://{address}/cut"))])
}

async fn answer(State(site): State<Site>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().to_string();
    let token = request.headers().get(header::AUTHORIZATION).map(|t| t.to_str().expect("text").to_owned());
    site.asked.lock().expect("no panic").push((path.clone(), token));
    let found = site.table.lock().expect("no panic").get(&path).cloned();
    let built = match found {
        None => Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()),
        Some(Answer::Content(content)) => Response::builder().body(Body::from(content)),
        Some(Answer::Status(status, headers)) => {
            let builder =
                headers.into_iter().fold(Response::builder().status(status), |b, (n, v)| b.header(n, v));
            builder.body(Body::empty())
        }
    };
    built.expect("it is well formed")
}
