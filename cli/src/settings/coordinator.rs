//! The settings of `kiln coordinator`, all from its file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_coordinator::store::{AzureSettings, GcsSettings, KeyPair, S3Settings};
use kiln_coordinator::{Collector, Lives, StoreSettings};
use kiln_lang::Diagnostic;
use kiln_plan::Sensitive;
use kiln_plan::requirements::{DEADLINE_MS, NO_PROGRESS_MS};
use kiln_proto::transport::Endpoint;

use super::{Reader, Refused, Section};

/// How long builds are remembered after their end.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a coordinator is told.
#[derive(Debug)]
pub(crate) struct CoordinatorSettings {
    /// Where its ledger, its keys and its audit lie.
    pub(crate) directory: PathBuf,
    /// Where it listens to agents, people and the other coordinators.
    pub(crate) listen: SocketAddr,
    /// Where all of them reach it.
    pub(crate) address: Endpoint,
    /// Where it answers over HTTP without TLS; nowhere unless given.
    pub(crate) http: Option<PlainHttp>,
    /// The other coordinators, for one that joins or was away.
    pub(crate) others: Vec<Endpoint>,
    /// The object store; a directory beside the ledger unless given.
    pub(crate) store: Option<StoreSettings>,
    /// How long builds are remembered after their end.
    pub(crate) keep: Duration,
    /// The most memory for events.
    pub(crate) event_memory: usize,
    /// How long a submission waits for the first agent.
    pub(crate) agent_patience: Duration,
    /// How long a task waits that no agent could take.
    pub(crate) placement_patience: Duration,
    /// The most that one attempt may take when the task doesn't say.
    pub(crate) deadline: Duration,
    /// How long an attempt may show no progress when the task doesn't say.
    pub(crate) no_progress: Duration,
    /// How long the certificates are good that it issues.
    pub(crate) certificates: Lives,
    /// Where traces of builds are sent; nowhere unless given.
    pub(crate) collector: Option<Collector>,
}

/// Where health, figures and the objects of a directory are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainHttp {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Where agents and people reach it, as `http://10.0.0.1:7448`: then the objects of a directory go this way,
    /// otherwise through the farm's own port by TLS.
    pub(crate) address: Option<String>,
}

/// The settings; what is wrong with them in words otherwise, everything at once.
pub(crate) fn read(path: &Path, paint: bool) -> Result<CoordinatorSettings, String> {
    let reader = Reader::open(path).map_err(|refused| refused.text(paint))?;
    let top = reader.top();
    let settings = of(&reader, &top);
    top.end();
    let settings = reader.finish(settings).map_err(|refused: Refused| refused.text(paint))?;
    settings.ok_or_else(|| "the settings are not whole".to_owned())
}

fn of(reader: &Reader, top: &Section<'_>) -> Option<CoordinatorSettings> {
    let directory =
        needed(reader, "directory", "where the coordinator keeps its ledger and keys", top.path("directory"));
    let address = needed(
        reader,
        "address",
        "where agents, people and other coordinators reach it, as \"https://build-1.example.org:7447\"",
        top.parsed("address", str::parse::<Endpoint>),
    );
    let listen = top.parsed("listen", str::parse::<SocketAddr>);
    let others = top.each_parsed("others", str::parse::<Endpoint>).unwrap_or_default();
    let (http, store) = (http(reader, top), store(reader, top));
    let collector = telemetry(reader, top);
    let keep = top.duration("keep").unwrap_or(KEEP);
    let event_memory = top.bytes("event_memory").unwrap_or(128 << 20);
    let agent_patience = top.duration("agent_patience").unwrap_or(Duration::from_secs(60));
    let placement_patience = top.duration("placement_patience").unwrap_or(Duration::from_secs(3600));
    let (deadline, no_progress) = (top.duration("deadline"), top.duration("no_progress"));
    let certificates = certificates(reader, top);
    let address = address?;
    Some(CoordinatorSettings {
        directory: directory?,
        listen: listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], address.port()))),
        address,
        http,
        others,
        store,
        keep,
        event_memory: usize::try_from(event_memory).unwrap_or(usize::MAX),
        agent_patience,
        placement_patience,
        deadline: deadline.unwrap_or(Duration::from_millis(DEADLINE_MS)),
        no_progress: no_progress.unwrap_or(Duration::from_millis(NO_PROGRESS_MS)),
        certificates,
        collector,
    })
}

fn needed<T>(reader: &Reader, name: &str, what: &str, given: Option<T>) -> Option<T> {
    if given.is_none() && !reader.names(name) {
        reader.complain(Diagnostic::error(format!("Missing setting {name:?}"), format!("It says {what}.")));
    }
    given
}

fn certificates(reader: &Reader, top: &Section<'_>) -> Lives {
    let usual = Lives::default();
    let life = |name: &'static str, usual| {
        let life = top.duration(name).unwrap_or(usual);
        if life < Lives::SHORTEST {
            let shortest = Lives::SHORTEST.as_secs();
            reader.complain(Diagnostic::error(
                format!("Bad setting {name:?}"),
                format!("A certificate is good for at least {shortest}s; it is renewed when a third of that is left."),
            ));
        }
        life
    };
    Lives {
        agent: life("agent_certificates", usual.agent),
        coordinator: life("coordinator_certificates", usual.coordinator),
    }
}

fn http(reader: &Reader, top: &Section<'_>) -> Option<PlainHttp> {
    let mut found = None;
    for block in top.blocks("http") {
        let listen = block.parsed("listen", str::parse::<SocketAddr>);
        let address = block.text("address");
        if listen.is_none() {
            reader.complain(Diagnostic::error(
                "Missing setting \"listen\"",
                "The block http says where it listens.",
            ));
        }
        block.end();
        found = listen.map(|listen| PlainHttp { listen, address });
    }
    found
}

/// The collector of the block `telemetry`, with the headers that it wants.
fn telemetry(reader: &Reader, top: &Section<'_>) -> Option<Collector> {
    let mut found = None;
    for block in top.blocks("telemetry") {
        let collector = block.parsed("otlp", Collector::at);
        if collector.is_none() && !block.has("otlp") {
            let detail = "The block telemetry says where traces are sent, as \"http://127.0.0.1:4318\".";
            reader.complain(Diagnostic::error("Missing setting \"otlp\"", detail));
        }
        let headers = block.path("headers_file").and_then(|path| match secret_lines(&path) {
            Ok(lines) => Some(Sensitive::new(lines.join("\n"))),
            Err(why) => {
                reader.complain(block.fault("headers_file", &why));
                None
            }
        });
        found = collector.and_then(|collector| match headers {
            None => Some(collector),
            Some(headers) => {
                let complain = |error| reader.complain(block.fault("headers_file", &error));
                collector.with_headers(&headers).map_err(complain).ok()
            }
        });
        block.end();
    }
    found
}

/// One of `objects = "directory"` and the blocks `s3`, `gcs`, `azure`.
fn store(reader: &Reader, top: &Section<'_>) -> Option<StoreSettings> {
    let directory = top.path("objects").map(StoreSettings::Directory);
    let s3 = top.blocks("s3").map(|block| s3(reader, block));
    let gcs = top.blocks("gcs").map(gcs);
    let azure = top.blocks("azure").map(|block| azure(reader, block));
    let mut all: Vec<StoreSettings> = directory.into_iter().chain(s3).chain(gcs).chain(azure).collect();
    if all.len() > 1 {
        let detail = "A farm has one object store: objects, or a block s3, gcs or azure.";
        reader.complain(Diagnostic::error("Several object stores", detail));
    }
    all.pop()
}

fn s3(reader: &Reader, block: Section<'_>) -> StoreSettings {
    let keys = keys(reader, &block);
    let settings = S3Settings {
        bucket: block.text("bucket").unwrap_or_default(),
        prefix: block.text("prefix").unwrap_or_default(),
        region: block.text("region").unwrap_or_default(),
        endpoint: block.text("endpoint"),
        keys,
        allow_http: block.switch("allow_http").unwrap_or(false),
        unchecked: block.switch("unchecked").unwrap_or(false),
    };
    if settings.bucket.is_empty() {
        reader.complain(Diagnostic::error(
            "Missing setting \"bucket\"",
            "The block s3 names a bucket, which must exist.",
        ));
    }
    block.end();
    StoreSettings::S3(settings)
}

/// Keys from a file of two lines; without one, what the environment says counts.
fn keys(reader: &Reader, block: &Section<'_>) -> Option<KeyPair> {
    let path = block.path("keys_file")?;
    match secret_lines(&path).as_deref() {
        Ok([id, secret]) => Some(KeyPair { id: id.clone(), secret: Sensitive::new(secret.clone()) }),
        Ok(_) => {
            let detail = format!("{} must have two lines: the key's name and its secret.", path.display());
            reader.complain(Diagnostic::error("Bad setting \"keys_file\"", detail));
            None
        }
        Err(why) => {
            reader.complain(Diagnostic::error("Bad setting \"keys_file\"", why.clone()));
            None
        }
    }
}

fn secret_lines(path: &Path) -> Result<Vec<String>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("Cannot read {}: {error}.", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn gcs(block: Section<'_>) -> StoreSettings {
    let settings = GcsSettings {
        bucket: block.text("bucket").unwrap_or_default(),
        prefix: block.text("prefix").unwrap_or_default(),
        service_account: block.path("service_account"),
        endpoint: block.text("endpoint"),
        allow_http: block.switch("allow_http").unwrap_or(false),
    };
    block.end();
    StoreSettings::Gcs(settings)
}

fn azure(reader: &Reader, block: Section<'_>) -> StoreSettings {
    let key = block.path("key_file").and_then(|path| match secret_lines(&path) {
        Ok(lines) => lines.into_iter().next().map(Sensitive::new),
        Err(why) => {
            reader.complain(Diagnostic::error("Bad setting \"key_file\"", why));
            None
        }
    });
    let settings = AzureSettings {
        account: block.text("account").unwrap_or_default(),
        container: block.text("container").unwrap_or_default(),
        prefix: block.text("prefix").unwrap_or_default(),
        key,
        endpoint: block.text("endpoint"),
        allow_http: block.switch("allow_http").unwrap_or(false),
    };
    block.end();
    StoreSettings::Azure(settings)
}
