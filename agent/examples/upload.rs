//! Measures uploads of images: what two of them share under different ways to cut, and how fast they reach a store.
//!
//! ```text
//!   upload measure OLD NEW             bytes of NEW that are not in OLD, for several parameters
//!   upload run ENDPOINT BUCKET OLD NEW publishes both to an S3 server, and puts NEW's bytes there plainly
//! ```
//!
//! `tests/upload-benchmark.sh` makes the images and the server, and calls it.

#![allow(clippy::unwrap_used, reason = "a measurement ends where it meets what it does not expect")]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/images/farm.rs"]
mod farm;

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use kiln_agent::image::cut::{Cut, cut};
use kiln_agent::image::{Patience, SourceFile, Transfer, publish};
use kiln_coordinator::StoreSettings;
use kiln_coordinator::store::{Access, KeyPair, S3Settings, Store};
use kiln_plan::Sensitive;
use kiln_proto::image::Chunking;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

type Anything = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["measure", old, new] => measure(old, new),
        ["run", endpoint, bucket, old, new] => run(endpoint, bucket, old, new).await,
        _ => Err("upload measure OLD NEW | upload run ENDPOINT BUCKET OLD NEW".into()),
    }
}

fn say(text: &str) -> Result<(), Anything> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The chunks of a file that were not seen before: how many, their bytes, and their bytes when compressed.
fn unseen(
    path: &str,
    chunking: &Chunking,
    seen: &mut HashSet<[u8; 32]>,
) -> Result<(u64, u64, u64, u64), Anything> {
    let file = File::open(path)?;
    let (mut all, mut count, mut bytes, mut packed) = (0, 0, 0, 0);
    let mut compressor = zstd::bulk::Compressor::new(3)?;
    let mut emit = |piece: Cut<'_>| {
        if let Cut::Chunk { id, bytes: content } = piece {
            all += content.len() as u64;
            if seen.insert(id.0) {
                count += 1;
                bytes += content.len() as u64;
                packed += compressor.compress(content)?.len() as u64;
            }
        }
        Ok(())
    };
    cut(&file, chunking, &CancellationToken::new(), &mut emit)?;
    Ok((all, count, bytes, packed))
}

fn measure(old: &str, new: &str) -> Result<(), Anything> {
    say(
        "average  zeros   old: chunks  MiB    packed | new: MiB without zeros  new chunks  MiB    packed   % of new",
    )?;
    for (average, zero_block) in [(16, 64), (32, 64), (64, 64), (64, 4), (128, 64), (256, 64), (512, 64)] {
        let average: u32 = average << 10;
        let chunking = Chunking {
            min: average / 4,
            average,
            max: average * 4,
            zero_block: zero_block << 10,
            ..Chunking::default()
        };
        let mut seen = HashSet::new();
        let (_, count, bytes, packed) = unseen(old, &chunking, &mut seen)?;
        let (all, new_count, new_bytes, new_packed) = unseen(new, &chunking, &mut seen)?;
        say(&format!(
            "{:>4} KiB {zero_block:>3} KiB {count:>9} {:>8.1} {:>8.1} | {:>12.1} {new_count:>20} {:>8.1} {:>8.1} {:>8.1}",
            average >> 10,
            mib(bytes),
            mib(packed),
            mib(all),
            mib(new_bytes),
            mib(new_packed),
            100.0 * new_packed as f64 / all as f64,
        ))?;
    }
    Ok(())
}

async fn run(endpoint: &str, bucket: &str, old: &str, new: &str) -> Result<(), Anything> {
    let settings = StoreSettings::S3(S3Settings {
        bucket: bucket.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        keys: Some(KeyPair { id: "kiln".into(), secret: Sensitive::new("kilnkiln".to_owned()) }),
        allow_http: true,
        ..S3Settings::default()
    });
    let store = Store::open(&settings)?;
    let mut farm = farm::Farm::start(settings).await;
    let transfer = Transfer::new(&[], Patience::default())?;
    let held = farm.take(2).await;
    let mut seconds = Vec::new();
    // An attempt that is dropped has failed.
    for (file, held) in [old, new].into_iter().zip(&held) {
        let mut publication = farm.publication(held, "nightly", &[]);
        publication.files = vec![SourceFile { path: file.into(), name: "disk".into() }];
        let channel = farm.handle.connect().await?;
        let begun = Instant::now();
        let reporter = farm::reporter();
        let (image, sent) =
            publish(channel, &transfer, &publication, &reporter, &CancellationToken::new()).await?;
        let took = begun.elapsed().as_secs_f64();
        seconds.push(took);
        say(&format!(
            "{}:{}  {:.1} MiB, sent {:.1} MiB in {} packs ({:.1} %), {took:.2} s, {:.1} MiB/s of image",
            image.name,
            image.version,
            mib(sent.size),
            mib(sent.sent),
            sent.packs,
            100.0 * sent.sent as f64 / sent.size as f64,
            mib(sent.size) / took,
        ))?;
    }
    for (file, kiln) in [(old, seconds[0]), (new, seconds[1])] {
        let (bytes, took) = plain(&store, file).await?;
        say(&format!(
            "plain    {:.1} MiB in parts of 32 MiB, 4 side by side, {took:.2} s, {:.1} MiB/s; kiln is {:.2} times as fast",
            mib(bytes),
            mib(bytes) / took,
            took / kiln,
        ))?;
    }
    let through: u64 = farm.faults.puts.lock().map_err(|_| "poisoned")?.iter().sum();
    say(&format!("bytes of images through the coordinator: {through}"))
}

/// Puts a file's bytes into the store as they are, four parts side by side.
async fn plain(store: &Store, file: &str) -> Result<(u64, f64), Anything> {
    let bytes = std::fs::read(file)?;
    let mut parts = Vec::new();
    for (number, part) in bytes.chunks(32 << 20).enumerate() {
        let access = Access::Write { size: part.len() as u64, sha256: Sha256::digest(part).into() };
        let key = format!("plain/{number}");
        let link = store.link(&key, &access, std::time::Duration::from_secs(900)).await?;
        parts.push((link, kiln_proto::Bytes::copy_from_slice(part)));
    }
    let client = reqwest::Client::new();
    let begun = Instant::now();
    let put = |(link, part): (kiln_coordinator::store::Link, kiln_proto::Bytes)| {
        let mut request = client.put(link.url).body(part);
        for (name, value) in link.headers {
            request = request.header(name, value);
        }
        async move { request.send().await?.error_for_status().map(drop) }
    };
    futures::stream::iter(parts.into_iter().map(put)).buffer_unordered(4).try_collect::<()>().await?;
    Ok((bytes.len() as u64, begun.elapsed().as_secs_f64()))
}
