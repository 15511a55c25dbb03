//! Against a web server that misbehaves on demand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use super::*;
use crate::test_task;

/// What the server was asked: path and range.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sum() -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content())))
}

/// `/good` serves with ranges; `/wrong` serves something else; `/plain` knows no
/// ranges; `/sums` lists the sum of `/good`.
async fn server() -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/{name}", get(answer)).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

async fn answer(State(asked): State<Asked>, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    let range = headers.get(header::RANGE).map(|r| r.to_str().expect("text").to_owned());
    asked.lock().expect("no panic").push((name.clone(), range.clone()));
    let all = content();
    let from =
        range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match name.as_str() {
        "missing" => StatusCode::NOT_FOUND.into_response(),
        "wrong" => "something else".into_response(),
        "plain" => all.into_response(),
        "sums" => format!("{}  good\n", &sum()[7..]).into_response(),
        _ if from.is_some_and(|f| f >= all.len()) => {
            let range = format!("bytes */{}", all.len());
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, range)]).into_response()
        }
        _ => {
            let from = from.unwrap_or(0);
            let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            let rest = all[from..].to_vec();
            let headers = [
                (header::CONTENT_LENGTH, rest.len().to_string()),
                (header::CONTENT_RANGE, format!("bytes {from}-{}/{}", all.len() - 1, all.len())),
            ];
            (status, headers, rest).into_response()
        }
    }
}

/// Hangs up after each 200 kB, whatever it is asked for. Tells how often it was asked, and for which ranges.
async fn cutting_server() -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let told = asked.clone();
    tokio::spawn(async move {
        let all = content();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut lines = tokio::io::BufReader::new(&mut stream).lines();
            let mut range = None;
            while let Some(line) = lines.next_line().await.expect("a request").filter(|l| !l.is_empty()) {
                let line = line.to_ascii_lowercase();
                range =
                    range.or(line.strip_prefix("range: bytes=").map(|r| r.trim_end_matches('-').to_owned()));
            }
            told.lock().expect("no panic").push(("cut".to_owned(), range.clone()));
            let from: usize = range.as_deref().map_or(0, |r| r.parse().expect("a number"));
            let (first, last, length) = (from, all.len() - 1, all.len());
            let head = match range {
                Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}"),
                None => "200 OK".to_owned(),
            };
            let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", length - from);
            let until = (from + 200_000).min(length);
            stream.write_all(&[head.as_bytes(), &all[from..until]].concat()).await.expect("an answer");
        }
    });
    (address, asked)
}

fn wanted(urls: &[String], checksum: &str) -> Wanted {
    Wanted {
        noun: "ISO",
        urls: urls.to_vec(),
        checksum: Checksum::parse(checksum).expect(checksum),
        target_path: None,
        extension: "iso".to_owned(),
    }
}

#[tokio::test]
async fn the_first_address_that_yields_the_right_file_wins() {
    let (address, _) = server().await;
    let task = test_task::task();
    let urls = ["missing", "wrong", "good"].map(|name| format!("http://{address}/{name}"));
    let fetched = fetch(&task.cx, &wanted(&urls, &sum())).await.expect("the file");
    assert_eq!(fetched.url, urls[2]);
    assert_eq!(std::fs::read(&fetched.path).expect("the file"), content());
    let name = format!("{}.iso", hex::encode(sha1::Sha1::digest(sum())));
    assert_eq!(fetched.path, task.cx.cache_dir.join(name));
}

#[tokio::test]
async fn a_sums_file_out_of_reach_is_told_by_its_own_name() {
    let (address, _) = server().await;
    let task = test_task::task();
    let sums = format!("file:http://{address}/missing");
    let urls = [format!("http://{address}/good")];
    let failure = fetch(&task.cx, &wanted(&urls, &sums)).await.expect_err("no file");
    let expected = format!("cannot fetch the sums file http://{address}/missing: the server answered 404");
    assert!(failure.message.contains(&expected), "{failure:?}");
}

#[tokio::test]
async fn every_address_that_fails_is_told_with_its_reason() {
    let (address, _) = server().await;
    let task = test_task::task();
    let urls = ["missing", "wrong"].map(|name| format!("http://{address}/{name}"));
    let failure = fetch(&task.cx, &wanted(&urls, &sum())).await.expect_err("no file");
    assert_eq!(failure.fault, Fault::Template);
    assert!(failure.evidence[0].contains("404") && failure.message.contains("checksum"), "{failure:?}");
    assert_eq!(failure.evidence.len(), 1, "nothing is told twice: {failure:?}");
    assert!(!task.cx.cache_dir.read_dir().expect("a cache").any(|entry| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().ends_with(".part")
    }));
    let gone = ["http://127.0.0.1:1/x".to_owned()];
    let failure = fetch(&task.cx, &wanted(&gone, &sum())).await.expect_err("no file");
    assert_eq!(failure.fault, Fault::Machine);
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_ended() {
    let (address, asked) = cutting_server().await;
    let task = test_task::task();
    let urls = [format!("http://{address}/cut")];
    let fetched = fetch(&task.cx, &wanted(&urls, &sum())).await.expect("the file");
    assert_eq!(std::fs::read(fetched.path).expect("the file"), content());
    let ranges: Vec<_> = asked.lock().expect("no panic").iter().map(|(_, range)| range.clone()).collect();
    assert!(ranges[0].is_none() && ranges.len() > 3 && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
}

#[tokio::test]
async fn a_part_of_an_earlier_try_is_used_and_a_wrong_one_thrown_away() {
    let (address, asked) = server().await;
    for (half, requests) in
        [(content()[..500_000].to_vec(), 1), (vec![7; 500_000], 2), (vec![7; 2_000_000], 3)]
    {
        let task = test_task::task();
        asked.lock().expect("no panic").clear();
        let urls = [format!("http://{address}/good")];
        let name = hex::encode(sha1::Sha1::digest(sum()));
        std::fs::create_dir_all(&task.cx.cache_dir).expect("a cache");
        std::fs::write(task.cx.cache_dir.join(format!("{name}.iso.part")), half).expect("a part");
        let fetched = fetch(&task.cx, &wanted(&urls, &sum())).await.expect("the file");
        assert_eq!(std::fs::read(fetched.path).expect("the file"), content());
        assert!(asked.lock().expect("no panic").len() <= requests);
    }
}

#[tokio::test]
async fn what_is_cached_is_not_fetched_again() {
    let (address, asked) = server().await;
    let task = test_task::task();
    for checksum in [sum(), "none".to_owned()] {
        let request = wanted(&[format!("http://{address}/plain")], &checksum);
        let first = fetch(&task.cx, &request).await.expect("the file");
        asked.lock().expect("no panic").clear();
        let second = fetch(&task.cx, &request).await.expect("the file");
        assert_eq!(first, second);
        // Without a checksum the server is asked for the length.
        assert_eq!(asked.lock().expect("no panic").len(), usize::from(checksum == "none"));
    }
}

#[tokio::test]
async fn two_builds_fetch_a_file_once() {
    let (address, asked) = server().await;
    let task = test_task::task();
    let request = wanted(&[format!("http://{address}/good")], &sum());
    let (first, second) = tokio::join!(fetch(&task.cx, &request), fetch(&task.cx, &request));
    assert_eq!(first.expect("the file"), second.expect("the file"));
    assert_eq!(asked.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_sums_file_gives_the_checksum() {
    let (address, _) = server().await;
    let task = test_task::task();
    let urls = [format!("http://{address}/good")];
    fetch(&task.cx, &wanted(&urls, &format!("file:http://{address}/sums"))).await.expect("the file");
    let urls = [format!("http://{address}/plain")];
    let request = wanted(&urls, &format!("file:http://{address}/sums"));
    let failure = fetch(&task.cx, &request).await.expect_err("not listed");
    assert!(failure.message.contains("lists no checksum"), "{failure}");
}

#[tokio::test]
async fn a_local_file_is_used_where_it_lies() {
    let task = test_task::task();
    let file = task.cx.working_dir.join("local.iso");
    std::fs::write(&file, content()).expect("a file");
    let request = wanted(&["local.iso".to_owned()], &sum());
    assert_eq!(fetch(&task.cx, &request).await.expect("the file").path, file);
    let wrong = wanted(&["local.iso".to_owned()], &format!("md5:{}", "0".repeat(32)));
    fetch(&task.cx, &wrong).await.expect_err("another file");
    assert!(file.exists(), "a local file is never deleted");
}
