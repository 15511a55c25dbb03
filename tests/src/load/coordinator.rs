//! A coordinator in a process of its own, so that its memory and processor time are its own and it can be killed.
//!
//! ```text
//!   this program, `load coordinator`            the one that measures
//!     stdin   one line: how to begin      ◄──
//!     stdout  ready, then who leads and   ──►
//!             how many agents are here
//!     stdin   closed: it ends             ◄──
//! ```

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_coordinator::identity::{Place, announce};
use kiln_coordinator::{
    Begin, ClusterSettings, Coordinator, Handle, Leadership, Settings, Storage, StoreSettings, TlsDial,
};
use kiln_proto::transport::{Endpoint, Limits, Peer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::plans::Plans;
use super::{Fault, PATIENCE};

/// How often a coordinator tells how many agents are here, if that changed.
const TELL: Duration = Duration::from_millis(10);

/// How a coordinator begins, as one line of words between tabs.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// It founds the farm.
    Found,
    /// It joins the farm that this other one is of, by a token.
    Join(Endpoint, String),
    /// It is there again, at its old address.
    Again(Endpoint),
}

/// Where a coordinator keeps its ledger, and where all of them keep their objects.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) ledger: PathBuf,
    pub(super) store: PathBuf,
}

impl How {
    pub(super) fn line(&self, places: &Places) -> String {
        let words = match self {
            Self::Found => "found".to_owned(),
            Self::Join(known, token) => format!("join\t{known}\t{token}"),
            Self::Again(endpoint) => format!("again\t{endpoint}"),
        };
        format!("{}\t{}\t{words}\n", places.ledger.display(), places.store.display())
    }
}

fn parse(line: &str) -> Result<(Places, How), Fault> {
    let mut words = line.trim_end().split('\t');
    let mut next = || words.next().ok_or("a coordinator must be told how to begin");
    let places = Places { ledger: next()?.into(), store: next()?.into() };
    let how = match next()? {
        "found" => How::Found,
        "join" => How::Join(next()?.parse()?, next()?.to_owned()),
        "again" => How::Again(next()?.parse()?),
        other => return Err(format!("a coordinator can't begin by {other:?}").into()),
    };
    Ok((places, how))
}

/// Runs a coordinator as it is told on standard input, until that is closed.
///
/// # Errors
/// When it can't begin, or its ledger fails.
pub async fn run() -> Result<(), Fault> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await?;
    let (places, how) = parse(&line)?;
    let handle = begin(&places, &how).await?;
    let ended = async {
        let mut rest = Vec::new();
        let _ = input.read_to_end(&mut rest).await;
    };
    tokio::select! {
        () = ended => {
            handle.shut_down(Duration::from_secs(1)).await;
            Ok(())
        }
        failure = handle.failed() => Err(failure.into()),
        told = tell(&handle) => told,
    }
}

async fn begin(places: &Places, how: &How) -> Result<Handle, Fault> {
    let place = Place::new(&places.ledger);
    let address = match how {
        How::Again(endpoint) => SocketAddr::new(endpoint.host().parse()?, endpoint.port()),
        How::Found | How::Join(..) => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let listener = TcpListener::bind(address).await?;
    let endpoint: Endpoint = format!("https://{}", listener.local_addr()?).parse()?;
    let mut operator = None;
    match how {
        How::Found => {
            let made = Coordinator::found(settings(1, &endpoint, places), Arc::new(Plans), &[]).await?;
            made.0.shut_down(PATIENCE).await;
            operator = Some(made.1.operator.reveal());
        }
        How::Join(known, token) => {
            let known = std::slice::from_ref(known);
            place.join(known, &token.parse()?, &endpoint.to_string()).await?;
        }
        How::Again(_) => {}
    }
    let credentials = place.credentials()?;
    let Peer::Coordinator(number) = credentials.peer() else { return Err("it is no coordinator's".into()) };
    let dial = Arc::new(TlsDial(credentials.clone()));
    let settings = settings(number, &endpoint, places);
    let handle = Coordinator::start_among(settings, Arc::new(Plans), dial).await?;
    // All agents have the address of this machine, where those of a farm would have one each.
    let usual = Limits::default();
    let limits = Limits { strangers_per_address: usual.strangers, connections: 32_768, ..usual };
    handle.listen(listener, &credentials, limits);
    if let How::Join(known, _) = how {
        announce(std::slice::from_ref(known), &credentials, &endpoint).await?;
    }
    say(&format!("ready\t{endpoint}\t{}", operator.unwrap_or_default()))?;
    Ok(handle)
}

fn settings(number: u64, endpoint: &Endpoint, Places { ledger, store }: &Places) -> Settings {
    let begin = if number == 1 { Begin::Found } else { Begin::Wait };
    Settings {
        storage: Storage::Directory(ledger.clone()),
        store: Some(StoreSettings::Directory(store.clone())),
        cluster: ClusterSettings {
            id: number,
            address: endpoint.to_string(),
            begin,
            own_threads: true,
            ..ClusterSettings::alone()
        },
        agent_patience: PATIENCE,
        placement_patience: PATIENCE,
        ..Settings::farm_of_one()
    }
}

async fn tell(handle: &Handle) -> Result<(), Fault> {
    let leadership = handle.leadership();
    let mut told = (false, usize::MAX);
    loop {
        let leads = matches!(*leadership.borrow(), Leadership::Leads { .. });
        let now = (leads, handle.connected_agents());
        if told != now {
            told = now;
            say(&format!("state\t{}\t{}", if leads { "leads" } else { "follows" }, now.1))?;
        }
        tokio::time::sleep(TELL).await;
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Bytes that a process has in memory.
pub(super) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib << 10
}

/// Seconds of processor time that a process has used.
pub(super) fn processor_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    let stat = stat.unwrap_or_default();
    // The name, in parentheses, may have blanks. Linux counts in hundredths for every program.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
