//! Those who are slow on purpose, so that their connections are held for as long as may be.

use std::time::Duration;

use kiln_proto::transport::Limits;
use kiln_proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::farm::{Farm, Link, bounded};
use crate::raw::{Door, HTTP2, aside};

/// A frame that begins the headers of a request and leaves their end open, and one that goes on with them.
const HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";
const CONTINUATION: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01\x84";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0slowness";

#[tokio::test]
async fn whoever_is_slow_is_dropped_and_disturbs_nobody() {
    let soon = Duration::from_secs(4);
    let limits = Limits { http1_too: true, stranger: soon, handshake: soon, ..Limits::default() };
    let farm = Farm::found_with(limits).await;
    let agent = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let begun = [HTTP2, HEADERS].concat();
    let table: [(&[u8], &[u8], &[u8]); 6] = [
        (b"http/1.1", b"", b""),
        (b"http/1.1", b"GET /healthz HTTP/1.1\r\nhost: farm\r\nx: ", b"a"),
        (b"http/1.1", b"GET /healthz HTTP/1.1\r\nhost: farm\r\n\r\n", b""),
        (b"h2", b"PRI * HT", b""),
        (b"h2", &begun, CONTINUATION),
        (b"h2", HTTP2, PING),
    ];
    let mut slow = Vec::new();
    for (protocol, first, then) in table {
        let door = Door::of(&farm, protocol);
        for _ in 0..10 {
            let (door, first, then) = (door.clone(), first.to_vec(), then.to_vec());
            slow.push(aside(move || {
                let mut raw = door.open();
                raw.send(&first);
                raw.trickle(&then);
            }));
        }
    }
    while slow.iter().any(|slow| !slow.is_finished()) {
        link.exchange(vec![]).await.unwrap();
        bounded(farm.people(&farm.operator).get_overview(v1::GetOverviewRequest {})).await.unwrap();
        tokio::task::yield_now().await;
    }
    for slow in slow {
        slow.await.expect("each is dropped");
    }
    let newcomer = farm.agent().await;
    Link::open(farm.channel(&newcomer.credentials), newcomer.id).await.unwrap();
}

#[tokio::test]
async fn who_shows_a_good_token_stays_and_who_does_not_makes_room() {
    let limits = Limits {
        strangers: 8,
        strangers_per_address: 8,
        stranger: Duration::from_secs(3),
        ..Limits::default()
    };
    let farm = Farm::found_with(limits).await;
    let mut known = farm.people(&farm.operator);
    bounded(known.get_overview(v1::GetOverviewRequest {})).await.unwrap();
    let (door, mut idle) = (Door::of(&farm, b"h2"), Vec::new());
    // Each is let in, and the oldest of them makes room.
    for _ in 0..20 {
        let door = door.clone();
        let raw = aside(move || {
            let mut raw = door.open();
            raw.send(HTTP2);
            raw
        });
        idle.push(bounded(raw).await.unwrap());
    }
    let agent = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    for raw in idle {
        bounded(aside(move || raw.trickle(PING))).await.unwrap();
    }
    // A connection that had to be opened anew would show as an error first.
    bounded(known.get_overview(v1::GetOverviewRequest {})).await.unwrap();
    link.exchange(vec![]).await.unwrap();
}

#[tokio::test]
async fn the_port_without_tls_waits_for_nobody_either() {
    let farm = Farm::found().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    farm.handle.listen_plainly(listener);
    let mut slow = Vec::new();
    for begun in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: farm\r\nx: "] {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(begun.as_bytes()).await.unwrap();
        slow.push(tcp);
    }
    let ask = async || {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nhost: farm\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut told = String::new();
        bounded(tcp.read_to_string(&mut told)).await.unwrap();
        told
    };
    assert!(ask().await.starts_with("HTTP/1.1 200"));
    for mut tcp in slow {
        // With or without a word.
        let _ = bounded(tcp.read_to_end(&mut Vec::new())).await;
    }
    assert!(ask().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn bundles_that_trickle_hold_up_no_other() {
    let farm = Farm::found().await;
    let digest = kiln_plan::fingerprint::Fingerprint::of_bytes(b"never whole").to_string();
    let mut trickling = Vec::new();
    for _ in 0..16 {
        let (say, parts) = tokio::sync::mpsc::channel(1);
        say.send(v1::BundlePart { digest: Some(digest.clone()), data: vec![0].into() }).await.unwrap();
        let mut client = farm.submission(&farm.operator);
        let parts = tokio_stream::wrappers::ReceiverStream::new(parts);
        trickling.push((say, tokio::spawn(async move { client.put_bundle(parts).await })));
    }
    // All places of one caller are taken, and told so; the next of another waits, and not for ever.
    let other = farm.client_token(v1::Role::Builder, None).await;
    let parts = || tokio_stream::once(v1::BundlePart { digest: Some(digest.clone()), data: vec![0].into() });
    let refused = async {
        loop {
            let status = farm.submission(&farm.operator).put_bundle(parts()).await.unwrap_err();
            if status.message().contains("of yours are under way") {
                break status;
            }
        }
    };
    assert_eq!(bounded(refused).await.code(), Code::Unavailable);
    let (_silent, never) = trickling.remove(0);
    let status = bounded(never).await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the rest of the bundle did not come in time")
    );
    drop(trickling);
    let status = bounded(farm.submission(&other).put_bundle(parts())).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "it is read, and is no bundle: {status}");
}
