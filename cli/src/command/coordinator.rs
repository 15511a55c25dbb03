//! `kiln coordinator`: decides and remembers for a farm, until it is told to end.
//!
//! ```text
//!   init ──► the farm's keys and authority, the first operator's token ──┐
//!   join ──► a number, a certificate, the farm's keys ───────────────────┴─► run: listen, be one of the coordinators
//!   recover ──► a ledger that was one of three's becomes one of its own
//! ```

mod shared_store;

use std::sync::Arc;
use std::time::Duration;

use kiln_agent::daemon::notify::Supervisor;
use kiln_coordinator::identity::{Place, announce};
use kiln_coordinator::{
    Begin, ClusterSettings, Coordinator, Handle, LEDGER_FAILED_EXIT, Links, Settings, Storage, StoreSettings,
    TlsDial, open_files,
};
use kiln_plan::fault::chain;
use kiln_proto::token::Token;
use kiln_proto::transport::{Credentials, Endpoint, Limits, Peer};
use tokio::net::TcpListener;

use crate::arguments::coordinator::{CoordinatorArguments, CoordinatorCommand};
use crate::exit_code::Ended;
use crate::farm_evaluation::FarmEvaluation;
use crate::interrupt::{Interrupt, Interrupts};
use crate::log;
use crate::render::Screen;
use crate::settings::coordinator::{self as settings_file, CoordinatorSettings};
use crate::{farm_connection, runtime};

/// What is under way has so long to come to a place where it can be left.
const GRACE: Duration = Duration::from_secs(10);

/// The wait before a coordinator announces itself again that found no leader.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(2);

/// Does what was asked for.
pub(crate) fn run(arguments: &CoordinatorArguments, screen: &Screen) -> Ended {
    if arguments.command.is_none() && !arguments.check {
        log::begin_for_daemon();
    }
    let path = match &arguments.command {
        None => &arguments.settings,
        Some(CoordinatorCommand::Init(init)) => &init.settings,
        Some(CoordinatorCommand::Join(join)) => &join.settings,
        Some(CoordinatorCommand::Recover(recover)) => &recover.settings,
    };
    let Some(path) = path else { return failed(screen, "no settings are given; write -settings FILE") };
    let settings = match settings_file::read(path, false) {
        Ok(settings) => settings,
        Err(why) => return failed(screen, &why),
    };
    if arguments.check {
        screen.say("The settings are valid.");
        return Ended::Well;
    }
    let ended = runtime::run(GRACE, async {
        match &arguments.command {
            None => work(&settings, screen).await,
            Some(CoordinatorCommand::Init(_)) => found(&settings, screen).await,
            Some(CoordinatorCommand::Join(join)) => {
                let token =
                    farm_connection::token(join.token_file.as_deref()).map_err(|error| chain(&error))?;
                join_farm(&settings, &token, screen).await
            }
            Some(CoordinatorCommand::Recover(recover)) => go_on_alone(&settings, &recover.lost, screen).await,
        }
    });
    ended.flatten().unwrap_or_else(|why| failed(screen, &why))
}

fn failed(screen: &Screen, why: &str) -> Ended {
    screen.complain(why);
    Ended::Failed
}

/// Founds a farm, and shows what its first operator needs.
async fn found(settings: &CoordinatorSettings, screen: &Screen) -> Result<Ended, String> {
    let store =
        shared_store::may_found(&farm_settings(settings, 1, None).store(), &Place::new(&settings.directory))
            .await?;
    let names = [settings.address.host().to_owned()];
    let made = Coordinator::found(farm_settings(settings, 1, None), Arc::new(FarmEvaluation), &names).await;
    let (handle, founded) = made.map_err(|error| chain(&error))?;
    handle.shut_down(GRACE).await;
    if let Err(error) = store.mark(founded.authority).await {
        tracing::warn!(
            error = chain(&error),
            "the object store is marked as the farm's at the coordinator's start"
        );
    }
    let (directory, address) = (settings.directory.display(), &settings.address);
    screen.say(&format!("A farm was founded in {directory}; its authority is {}.", founded.authority));
    screen.say(&format!("Start the coordinator, and ask it things with:\n\n  export KILN_FARM={address}"));
    screen.say(&format!("  export KILN_TOKEN={}\n", founded.operator.reveal()));
    screen.say("The token is an operator's and is shown only this once.");
    Ok(Ended::Well)
}

/// Joins a farm; the coordinator takes part once it is started.
async fn join_farm(settings: &CoordinatorSettings, token: &Token, screen: &Screen) -> Result<Ended, String> {
    if settings.others.is_empty() {
        return Err("no other coordinator is given; name one in the setting others".to_owned());
    }
    shared_store::may_join(&farm_settings(settings, 0, None).store(), token).await?;
    let place = Place::new(&settings.directory);
    let joined = place.join(&settings.others, token, &settings.address.to_string()).await;
    let number = joined.map_err(|error| chain(&error))?;
    screen.say(&format!("This is coordinator {number} of the farm. It takes part once it is started."));
    Ok(Ended::Well)
}

/// Makes this coordinator the only one of its farm. The others are revoked once it is started, by `remove-member`.
async fn go_on_alone(settings: &CoordinatorSettings, lost: &[u64], screen: &Screen) -> Result<Ended, String> {
    let (_, number) = settled(settings)?;
    let address = settings.address.to_string();
    let recovered = kiln_coordinator::recover(&settings.directory, number, &address, lost).await;
    let left = recovered.map_err(|error| chain(&error))?;
    screen.say(&format!(
        "Coordinator {number} is now the only one of its farm. Start it, then turn the others away:\n"
    ));
    for other in left {
        screen.say(&format!("  kiln farm remove-member {other}"));
    }
    Ok(Ended::Well)
}

/// The place of a coordinator that belongs to a farm, and its number there.
fn settled(settings: &CoordinatorSettings) -> Result<(Place, u64), String> {
    let place = Place::new(&settings.directory);
    if !place.is_settled() {
        let directory = settings.directory.display();
        return Err(format!(
            "{directory} belongs to no farm yet; found one with `kiln coordinator init`, or join one with `kiln coordinator join`"
        ));
    }
    let credentials = place.credentials().map_err(|error| chain(&error))?;
    match credentials.peer() {
        Peer::Coordinator(number) => Ok((place, number)),
        _ => Err(format!("the certificate in {} is not a coordinator's", place.certificate().display())),
    }
}

/// Each connection is an open file.
fn allow_many_connections() {
    match open_files::raise_limit() {
        Ok(most) => tracing::debug!(most, "so many files may be open, one for each connection"),
        Err(error) => tracing::warn!(%error, "no more connections than usual can be taken in"),
    }
}

/// Works until a signal or the ledger's failure.
async fn work(settings: &CoordinatorSettings, screen: &Screen) -> Result<Ended, String> {
    let (place, number) = settled(settings)?;
    let credentials = place.credentials().map_err(|error| chain(&error))?;
    shared_store::may_start(&farm_settings(settings, number, None).store(), &place, number).await?;
    allow_many_connections();
    let supervisor = Supervisor::of_this_process();
    let mut interrupts =
        Interrupts::listen().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let listener = listen(settings.listen).await?;
    let plain = match &settings.http {
        Some(http) => Some(listen(http.listen).await?),
        None => None,
    };
    let links = links(settings, &place)?;
    let dial = Arc::new(TlsDial(credentials.clone()));
    let started =
        Coordinator::start_among(farm_settings(settings, number, links), Arc::new(FarmEvaluation), dial)
            .await;
    let handle = started.map_err(|error| chain(&error))?;
    handle.listen(listener, &credentials, Limits { http1_too: true, ..Limits::default() });
    if let Some(plain) = plain {
        handle.listen_plainly(plain);
    }
    handle.keep_certificate(place, credentials.clone());
    supervisor.tell("READY=1");
    tracing::info!(number, address = %settings.address, listen = %settings.listen, "the coordinator works");
    let announced =
        tokio::spawn(announce_until_heard(settings.others.clone(), settings.address.clone(), credentials));
    let ended = until_told(&handle, &mut interrupts).await;
    announced.abort();
    supervisor.tell("STOPPING=1");
    match ended {
        Told::ToEnd => {
            handle.shut_down(GRACE).await;
            Ok(Ended::Well)
        }
        Told::LedgerFailed(why) => {
            screen.error(&format!(
                "the ledger has failed, so this coordinator ends with {LEDGER_FAILED_EXIT}: {why}"
            ));
            Ok(Ended::LedgerFailed)
        }
    }
}

/// What ended the work.
enum Told {
    ToEnd,
    LedgerFailed(String),
}

async fn until_told(handle: &Handle, interrupts: &mut Interrupts) -> Told {
    tokio::select! {
        interrupt = interrupts.next() => {
            let name = if let Interrupt::Cancel(name) = interrupt { name } else { "a signal" };
            tracing::info!(signal = name, "the coordinator ends");
            Told::ToEnd
        }
        failure = handle.failed() => Told::LedgerFailed(failure.to_string()),
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Tells the farm that this coordinator is there, until somebody who leads has heard it.
async fn announce_until_heard(others: Vec<Endpoint>, address: Endpoint, credentials: Credentials) {
    let endpoints: Vec<Endpoint> = others.into_iter().chain([address.clone()]).collect();
    loop {
        match announce(&endpoints, &credentials, &address).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(error = chain(&error), "no leader has heard of this coordinator yet");
            }
        }
        tokio::time::sleep(ANNOUNCE_AGAIN).await;
    }
}

/// Who signs links to the objects of a directory, which clouds do themselves: every coordinator with the same key, which is made of the farm's.
fn links(settings: &CoordinatorSettings, place: &Place) -> Result<Option<Links>, String> {
    if !matches!(settings.store, None | Some(StoreSettings::Directory(_))) {
        return Ok(None);
    }
    let plain = settings.http.as_ref().and_then(|http| http.address.clone());
    // The farm's own port answers them too, by TLS.
    let base = plain.unwrap_or_else(|| settings.address.to_string());
    let sealer = place.sealer().map_err(|error| chain(&error))?;
    let missing = || format!("the farm key {} is missing", place.farm_key().display());
    let key = sealer.ok_or_else(missing)?.derive("links");
    Ok(Some(Links::new(&base, &key)))
}

fn farm_settings(settings: &CoordinatorSettings, number: u64, links: Option<Links>) -> Settings {
    let begin = if number == 1 { Begin::Found } else { Begin::Wait };
    let address = settings.address.to_string();
    let usual = ClusterSettings::alone();
    Settings {
        storage: Storage::Directory(settings.directory.clone()),
        cluster: ClusterSettings { id: number, address, begin, own_threads: true, ..usual },
        store: settings.store.clone(),
        links,
        event_memory: settings.event_memory,
        agent_patience: settings.agent_patience,
        placement_patience: settings.placement_patience,
        deadline: Some(settings.deadline),
        no_progress: Some(settings.no_progress),
        keep: settings.keep,
        certificates: settings.certificates,
        collector: settings.collector.clone(),
    }
}
