//! Those who don't even speak the farm's language.

use std::time::Duration;

use kiln_proto::transport::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::farm::{Farm, Link, bounded};

/// Opens a connection, sends bytes, and waits until it is closed.
async fn poke(farm: &Farm, bytes: &[u8]) {
    let mut tcp = open(farm).await;
    // It may be closed while we still write.
    let _ = tcp.write_all(bytes).await;
    let _ = bounded(tcp.read_to_end(&mut Vec::new())).await;
}

async fn open(farm: &Farm) -> TcpStream {
    TcpStream::connect((farm.endpoint.host(), farm.endpoint.port())).await.unwrap()
}

/// Bytes that mean nothing, the same each time.
fn garbage(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn plain_text_garbage_and_half_open_handshakes_disturb_no_agent() {
    let limits = Limits { handshake: Duration::from_secs(3), ..Limits::default() };
    let farm = Farm::found_with(limits).await;
    let agent = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let mut half_open = Vec::new();
    for n in 0..100 {
        let mut tcp = open(&farm).await;
        tcp.write_all(&[0x16, 3, 1, 2, 0][..n % 6]).await.unwrap();
        half_open.push(tcp);
    }
    for bytes in [
        b"GET / HTTP/1.1\r\nhost: farm\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        garbage(100_000),
        vec![0x16; 20_000],
    ] {
        poke(&farm, &bytes).await;
        link.exchange(vec![]).await.unwrap();
    }
    let newcomer = farm.agent().await;
    Link::open(farm.channel(&newcomer.credentials), newcomer.id).await.expect("newcomers get in, too");
    for mut tcp in half_open {
        let _ = bounded(tcp.read_to_end(&mut Vec::new())).await;
    }
    link.exchange(vec![]).await.unwrap();
}

#[tokio::test]
async fn when_strangers_are_too_many_the_oldest_gives_way() {
    let limits = Limits { strangers_per_address: 8, ..Limits::default() };
    let farm = Farm::found_with(limits).await;
    let mut half_open = Vec::new();
    for _ in 0..50 {
        half_open.push(open(&farm).await);
    }
    let agent = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    link.exchange(vec![]).await.unwrap();
}
