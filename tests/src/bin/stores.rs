//! Everything that a farm asks of its object store, asked of one that runs: `tests/stores.sh` starts some.
//!
//! ```text
//!   stores s3 ENDPOINT BUCKET          keys kiln, kilnkiln
//!   stores gcs ENDPOINT BUCKET FILE    the service account's key is in FILE
//!   stores azure ENDPOINT CONTAINER    the account of Azure's emulators
//! ```
//!
//! What an emulator does not check (a signature, an expiry) is told, and no failure: nobody can tell with it whether the
//! true store would. What it does wrong is one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use kiln_coordinator::StoreSettings;
use kiln_coordinator::store::{Access, AzureSettings, GcsSettings, KeyPair, Link, S3Settings, Store};
use kiln_plan::Sensitive;
use kiln_proto::Bytes;
use sha2::{Digest, Sha256};

/// The account that Azure's emulators have, and its key, as their manual tells.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// More than any store lists at once but Azure.
const MANY: usize = 1_100;

/// How long links are good for that nobody waits for.
const LONG: Duration = Duration::from_secs(900);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(settings) = settings(&words) else {
        eprintln!("usage: stores s3|gcs|azure ENDPOINT BUCKET [FILE]");
        return ExitCode::FAILURE;
    };
    match exercise(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stores: {}", kiln_plan::fault::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn settings(words: &[&str]) -> Option<StoreSettings> {
    let (kind, endpoint, bucket) = (*words.first()?, Some((*words.get(1)?).to_owned()), *words.get(2)?);
    // A folder, so that prefixes are tried as well.
    let (bucket, prefix) = (bucket.to_owned(), "farms/one".to_owned());
    Some(match kind {
        "s3" => StoreSettings::S3(S3Settings {
            bucket,
            prefix,
            endpoint,
            keys: Some(KeyPair { id: "kiln".into(), secret: Sensitive::new("kilnkiln".into()) }),
            allow_http: true,
            ..S3Settings::default()
        }),
        "gcs" => {
            let service_account = Some((*words.get(3)?).into());
            StoreSettings::Gcs(GcsSettings { bucket, prefix, service_account, endpoint, allow_http: true })
        }
        "azure" => StoreSettings::Azure(AzureSettings {
            account: AZURE_ACCOUNT.into(),
            container: bucket,
            prefix,
            key: Some(Sensitive::new(AZURE_KEY.into())),
            endpoint,
            allow_http: true,
        }),
        _ => return None,
    })
}

async fn exercise(settings: &StoreSettings) -> Outcome {
    let store = Store::open(settings)?;
    println!("   {}", store.place());
    whole_objects(&store).await?;
    objects_in_pieces(&store).await?;
    lists(&store).await?;
    links(&store, matches!(settings, StoreSettings::S3(_))).await
}

fn sure(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what}: that is not so").into()) }
}

/// Bytes without pattern, the same each time.
fn bytes(count: usize) -> Bytes {
    let block = |n: u64| <[u8; 32]>::from(Sha256::digest(n.to_le_bytes()));
    let mut all: Vec<u8> = (0..count.div_ceil(32) as u64).flat_map(block).collect();
    all.truncate(count);
    all.into()
}

async fn whole_objects(store: &Store) -> Outcome {
    let content = bytes(3 << 20);
    store.put("plans/a", content.clone()).await?;
    sure(store.get("plans/a").await? == Some(content.clone()), "what is put can be got")?;
    let part = store.get_range("plans/a", 1_000..2_000_000).await?;
    sure(part == Some(content.slice(1_000..2_000_000)), "a part can be got")?;
    let facts = store.head("plans/a").await?.ok_or("it can't be looked up")?;
    sure(facts.size == content.len() as u64 && facts.key == "plans/a", "its size and key are told")?;
    sure(facts.modified_ms > 1_700_000_000_000, "its time is told")?;
    store.put("plans/a", Bytes::from_static(b"short")).await?;
    sure(store.get("plans/a").await?.as_deref() == Some(b"short"), "it can be written over")?;
    store.put("plans/empty", Bytes::new()).await?;
    sure(store.get("plans/empty").await?.as_deref() == Some(b""), "there are empty objects")?;
    for missing in ["plans/b", "nothing/at/all"] {
        sure(store.get(missing).await?.is_none(), "what isn't there is not got")?;
        sure(store.head(missing).await?.is_none(), "nor looked up")?;
        sure(store.get_range(missing, 0..1).await?.is_none(), "nor is a part of it")?;
        store.delete(missing).await?;
    }
    for key in ["plans/a", "plans/empty"] {
        store.delete(key).await?;
        sure(store.head(key).await?.is_none(), "what is deleted is gone")?;
    }
    println!("   put, get, parts, head, delete: well");
    Ok(())
}

async fn objects_in_pieces(store: &Store) -> Outcome {
    let content = bytes(40 << 20);
    let mut writing = store.write("packs/large").await?;
    let mut rest = content.clone();
    // Of odd sizes, as a network brings them.
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(777_777));
        writing.push(piece).await?;
    }
    sure(store.head("packs/large").await?.is_none(), "nothing is there before it is finished")?;
    writing.finish().await?;
    sure(store.get("packs/large").await? == Some(content.clone()), "then all of it is")?;
    let mut begun = store.write("packs/never").await?;
    begun.push(bytes(12 << 20)).await?;
    begun.abort().await?;
    sure(store.head("packs/never").await?.is_none(), "what was given up is not")?;
    store.delete("packs/large").await?;
    println!("   40 MiB in pieces: well");
    Ok(())
}

async fn lists(store: &Store) -> Outcome {
    let mut putting = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let store = store.clone();
        putting.spawn(async move { store.put(&format!("logs/{number:05}"), bytes(number)).await });
        if putting.len() >= 16 {
            putting.join_next().await.ok_or("nothing is under way")???;
        }
    }
    while let Some(put) = putting.join_next().await {
        put??;
    }
    store.put("logsnot/1", bytes(1)).await?;
    let mut listed = store.list("logs").await?;
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    sure(listed.len() == MANY, &format!("{MANY} objects are listed, and not {}", listed.len()))?;
    let right = listed.iter().enumerate().all(|(n, f)| f.key == format!("logs/{n:05}") && f.size == n as u64);
    sure(right, "each with its key and size")?;
    sure(store.list("nothing").await?.is_empty(), "an empty folder has none")?;
    for facts in listed {
        store.delete(&facts.key).await?;
    }
    store.delete("logsnot/1").await?;
    sure(store.list("logs").await?.is_empty(), "what is deleted is not listed")?;
    println!("   lists of {MANY}: well");
    Ok(())
}

async fn links(store: &Store, binds_content: bool) -> Outcome {
    let content = bytes(8 << 20);
    let access = |of: &Bytes| Access::Write { size: of.len() as u64, sha256: Sha256::digest(of).into() };
    let write = store.link("packs/linked", &access(&content), LONG).await?;
    let mut unchecked = Vec::new();
    if binds_content {
        let other = put(&write, &bytes(8 << 10))?;
        sure(!is_well(other) && store.head("packs/linked").await?.is_none(), "other content is refused")?;
    }
    let answer = put(&write, &content)?;
    sure(is_well(answer), &format!("who has a link may write ({answer})"))?;
    sure(store.get("packs/linked").await? == Some(content.clone()), "then it is there")?;
    let read = store.link("packs/linked", &Access::Read, LONG).await?;
    let (answer, part) = get(&read, "bytes=1000-1999")?;
    sure(answer == 206 && part == content[1_000..2_000], &format!("or read a part ({answer})"))?;
    let mut forged = read.clone();
    forged.url = forge(&read.url);
    for (what, link) in [("signatures", &forged), ("methods", &read)] {
        let answer = if what == "methods" { put(link, &content)? } else { get(link, "bytes=0-9")?.0 };
        if is_well(answer) {
            unchecked.push(what);
        }
    }
    let soon = store.link("packs/linked", &Access::Read, Duration::from_secs(1)).await?;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while is_well(get(&soon, "bytes=0-9")?.0) {
        if std::time::Instant::now() > deadline {
            unchecked.push("expiry");
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.delete("packs/linked").await?;
    let told = if unchecked.is_empty() {
        String::new()
    } else {
        format!(", but it does not check {}", unchecked.join(", "))
    };
    println!("   links: well{told}");
    Ok(())
}

const fn is_well(status: u16) -> bool {
    status >= 200 && status < 300
}

/// The link with another letter in the middle of its signature.
fn forge(url: &str) -> String {
    let at =
        ["X-Amz-Signature=", "X-Goog-Signature=", "sig="].iter().find_map(|n| Some(url.find(n)? + n.len()));
    let at = at.map_or(url.len() - 1, |begin| begin + 3);
    let other = if url.as_bytes().get(at) == Some(&b'a') { "b" } else { "a" };
    format!("{}{other}{}", &url[..at], &url[at + 1..])
}

fn curl(link: &Link) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--http1.1", "--max-time", "60"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    for (name, value) in &link.headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.arg(&link.url);
    command
}

fn put(link: &Link, content: &Bytes) -> Outcome<u16> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), content)?;
    let mut command = curl(link);
    command.args(["-o", "/dev/null", "-w", "%{http_code}", "-T"]).arg(file.path());
    let output = command.output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn get(link: &Link, range: &str) -> Outcome<(u16, Vec<u8>)> {
    let file = tempfile::NamedTempFile::new()?;
    let mut command = curl(link);
    command.args(["-w", "%{http_code}", "-H", &format!("Range: {range}"), "-o"]).arg(file.path());
    let output = command.output()?;
    Ok((String::from_utf8(output.stdout)?.trim().parse()?, std::fs::read(file.path())?))
}
