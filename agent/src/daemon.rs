//! The agent as a daemon of its machine: `kiln agent`.
//!
//! ```text
//!   lock the run directory ─► take back what dead attempts left ─► find living ones ─► look at the machine ─► link
//!                                                                                                             │
//!     end asked once: drain ── nothing new, all finishes ── goodbye ──► left                                  │
//!        │ limit over: what still runs is ended, and told as this machine's doing                             │
//!     end asked twice: hand over ── attempts go on, the next daemon takes them up ──► handed over ◄───────────┘
//! ```
//!
//! Attempts run in processes of their own ([`crate::hosted`]), so that a daemon may be killed or updated at any time.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::Journal;
use kiln_component::journal::JournalError;
use kiln_plan::id::AgentId;
use kiln_plan::{DataAnswer, DataQuery};
use kiln_proto::Problem;
use kiln_proto::token::Token;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::capability::survey;
use crate::catalog::Factories;
use crate::data_source;
use crate::hosted::bundle::Remote;
use crate::hosted::place::{PlaceError, RUN_DIR_LIMIT};
use crate::hosted::{self, HostedHands, Hosts};
use crate::image::{Patience, Publisher, Transfer, TransferError};
use crate::isolation::Isolation;
use crate::link::{self, Hello, LinkEnd, Questions};

pub mod address;
pub mod identity;
mod name;
pub mod notify;

use address::Farm;
use identity::{Enrolment, IdentityError};
use name::NameError;
use notify::Supervisor;

/// How long attempts that are ended because the drain took too long may take to undo what they did.
const UNDO_LIMIT: Duration = Duration::from_secs(120);

/// How long the directories of ended attempts may take to go, once the farm has heard of everything.
const CLEAR_LIMIT: Duration = Duration::from_secs(60);

/// How a daemon works. Read once, at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name shown to people.
    pub name: String,
    /// Where the coordinators are.
    pub farm: Farm,
    /// What it enrols with, if it hasn't yet.
    pub token: Option<Token>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// What tasks may ask for.
    pub labels: BTreeMap<String, String>,
    /// Logical processors to share out among guests; all when `None`.
    pub cpus: Option<u32>,
    /// MiB of memory to share out among guests; all when `None`.
    pub memory_mib: Option<u64>,
    /// Where attempts, journals and scratch directories lie.
    pub run_dir: PathBuf,
    /// Where downloads are kept.
    pub cache_dir: PathBuf,
    /// The kiln program, which carries out attempts.
    pub program: PathBuf,
    /// The most bytes of downloads that are kept while nobody uses them.
    pub cache_limit: u64,
    /// How long a drain waits for what is under way.
    pub drain_limit: Duration,
    /// Whether attempts are kept apart where that can be done.
    pub isolate: bool,
}

/// What a daemon is asked to do about its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Nothing: it stays.
    #[default]
    Stay,
    /// Take nothing new, finish, and leave.
    Drain,
    /// Leave at once; attempts go on without it.
    HandOver,
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said goodbye, with nothing under way.
    Left,
    /// So many attempts go on without it.
    HandedOver(usize),
}

/// A daemon can't work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is no way to the object store.
    #[error("cannot prepare the way to the farm's object store")]
    Transfer(#[source] TransferError),
    /// The run directory's name is too long.
    #[error(
        "the path of the run directory has {length} bytes, and sockets below it take at most {RUN_DIR_LIMIT}; choose a \
         shorter one"
    )]
    RunDirTooLong {
        /// How long it is.
        length: usize,
    },
    /// The run directory can't be used.
    #[error("cannot {operation} the run directory {}", path.display())]
    RunDir {
        /// What was being done.
        operation: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("another agent works in {}; give each a run directory of its own", .0.display())]
    Taken(PathBuf),
    /// What dead attempts left can't be found.
    #[error("cannot look for what dead attempts left")]
    Recover(#[source] JournalError),
    /// Living attempts can't be found.
    #[error("cannot look for attempts from before")]
    Find(#[source] PlaceError),
    /// It doesn't know who it is.
    #[error("cannot tell who this agent is")]
    Name(#[source] NameError),
    /// It can't show who it is.
    #[error("cannot show the farm who this agent is")]
    Identity(#[from] IdentityError),
    /// The coordinator doesn't understand it.
    #[error("the coordinator doesn't take this agent: {}", .0.message)]
    Rejected(Problem),
}

/// Works until it is asked to end.
///
/// # Errors
/// When it can't begin, or no coordinator will ever take it.
pub async fn run(
    settings: Settings,
    factories: Arc<Factories>,
    asked: watch::Receiver<Ask>,
) -> Result<End, DaemonError> {
    let supervisor = Supervisor::of_this_process();
    let _lock = enter(&settings.run_dir)?;
    for recovered in Journal::recover(&settings.run_dir).await.map_err(DaemonError::Recover)? {
        tracing::warn!("left by a dead attempt: {recovered}");
    }
    let (agent, channel, enrolment) = introduce(&settings).await?;
    let isolation = if settings.isolate { Isolation::prepare() } else { Isolation::default() };
    let kept_apart = isolation.label();
    let hosting = hosted::Settings {
        program: settings.program.clone(),
        run_dir: settings.run_dir.clone(),
        cache_dir: settings.cache_dir.clone(),
        cache_limit: settings.cache_limit,
        isolation,
    };
    let machine = survey::look(&settings.run_dir, &settings.cache_dir).await;
    // A coordinator that keeps objects in a directory hands them out itself, under the farm's own authority.
    let authorities = enrolment.as_ref().map_or(Ok(Vec::new()), Enrolment::authorities)?;
    // Behind a socket of this machine there is no object store.
    let publisher = enrolment.is_some().then_some(Publisher {
        channel: channel.clone(),
        transfer: Transfer::new(&authorities, Patience::default()).map_err(DaemonError::Transfer)?,
        agent,
        agent_name: settings.name.clone(),
        tools: machine.tools.clone(),
    });
    let bundles = Arc::new(Remote(channel.clone()));
    let hosts = Hosts::find(hosting, bundles, publisher).map_err(DaemonError::Find)?;
    let mut hello = Hello { agent, ..hello(&settings, &factories, machine) };
    hello.labels.insert("isolation".to_owned(), kept_apart.to_owned());
    tracing::info!(%agent, name = hello.name, slots = hello.slots, attempts = hosts.count(), "the agent begins");
    let hands = Arc::new(HostedHands(Arc::clone(&hosts)));
    let oracle = Arc::new(Oracle(factories));
    let drain = CancellationToken::new();
    let link = link::run(channel, hello, (hands, oracle), drain.clone());
    supervisor.tell("READY=1\nSTATUS=Connecting to the farm");
    let work = until_the_end(link, &hosts, (drain, settings.drain_limit, &supervisor), asked);
    let end = match &enrolment {
        None => work.await,
        Some(enrolment) => tokio::select! {
            end = work => end,
            never = enrolment.keep_fresh() => match never {},
        },
    };
    if matches!(end, Ok(End::Left)) && tokio::time::timeout(CLEAR_LIMIT, hosts.settled()).await.is_err() {
        tracing::warn!("what ended could not be cleared up in time; the next agent here does");
    }
    tracing::info!(?end, "the agent ends");
    end
}

/// Who the agent is, the way to its farm, and the certificate that it shows there.
async fn introduce(settings: &Settings) -> Result<(AgentId, Channel, Option<Enrolment>), DaemonError> {
    match &settings.farm {
        Farm::Local(path) => {
            let agent = name::of(&settings.run_dir).map_err(DaemonError::Name)?;
            Ok((agent, address::dial_local(path), None))
        }
        Farm::Remote(endpoints) => {
            let shown = (settings.name.as_str(), settings.token.as_ref());
            let enrolment = Enrolment::of(&settings.run_dir, endpoints, shown).await?;
            Ok((enrolment.agent, enrolment.dialler.channel(), Some(enrolment)))
        }
    }
}

async fn until_the_end(
    link: impl Future<Output = LinkEnd>,
    hosts: &Hosts,
    (drain, limit, supervisor): (CancellationToken, Duration, &Supervisor),
    mut asked: watch::Receiver<Ask>,
) -> Result<End, DaemonError> {
    let mut link = std::pin::pin!(link);
    // Who asks has gone only with the whole process.
    let wait = async |asked: &mut watch::Receiver<Ask>, what: Ask| {
        if asked.wait_for(|ask| *ask >= what).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended = |end: LinkEnd| match end {
        LinkEnd::Left => Ok(End::Left),
        LinkEnd::Rejected(problem) => Err(DaemonError::Rejected(problem)),
    };
    tokio::select! {
        end = &mut link => return ended(end),
        () = wait(&mut asked, Ask::Drain) => {}
    }
    let told = "draining: nothing new is taken, what is under way finishes; ask again to hand it over";
    tracing::info!(attempts = hosts.count(), ?limit, "{told}");
    supervisor.tell("STOPPING=1\nSTATUS=Draining");
    drain.cancel();
    tokio::select! {
        end = &mut link => return ended(end),
        () = wait(&mut asked, Ask::HandOver) => return Ok(End::HandedOver(hosts.count())),
        () = tokio::time::sleep(limit) => {}
    }
    tracing::warn!(attempts = hosts.count(), "the drain took too long; ending what is under way");
    hosts.end_all();
    tokio::select! {
        end = &mut link => ended(end),
        () = wait(&mut asked, Ask::HandOver) => Ok(End::HandedOver(hosts.count())),
        () = tokio::time::sleep(UNDO_LIMIT) => Ok(End::HandedOver(hosts.count())),
    }
}

/// What a daemon locks in its run directory.
const LOCK: &str = "daemon.lock";

/// Whether a daemon keeps its own things in this directory, its private key among them.
pub fn is_run_directory(directory: &Path) -> bool {
    directory.join(LOCK).is_file() && identity::key_file(directory).is_file()
}

/// Makes the run directory, and keeps other daemons out of it for as long as the file is held.
fn enter(run_dir: &Path) -> Result<File, DaemonError> {
    let length = run_dir.as_os_str().len();
    if length > RUN_DIR_LIMIT {
        return Err(DaemonError::RunDirTooLong { length });
    }
    let problem = |operation| {
        let path = run_dir.to_owned();
        move |source| DaemonError::RunDir { operation, path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(run_dir).map_err(problem("make"))?;
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(run_dir.join(LOCK));
    let file = file.map_err(problem("enter"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DaemonError::Taken(run_dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(problem("lock")(error)),
    }
}

fn hello(settings: &Settings, factories: &Factories, survey: survey::Survey) -> Hello {
    let survey::Survey { cpus, memory_mib, arch, accelerators, disk_mib, tools } = survey;
    Hello {
        agent: kiln_plan::id::AgentId::new(uuid::Uuid::nil()),
        name: settings.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: settings.slots,
        labels: settings.labels.clone(),
        cpus: settings.cpus.unwrap_or(cpus),
        memory_mib: settings.memory_mib.unwrap_or(memory_mib),
        catalog: factories.catalog().into(),
        arch,
        accelerators,
        disk_mib,
        tools,
    }
}

/// Answers questions of evaluations in the daemon itself: they run no process and make nothing.
#[derive(Debug)]
struct Oracle(Arc<Factories>);

#[async_trait]
impl Questions for Oracle {
    async fn answer(&self, query: DataQuery, cancel: CancellationToken) -> DataAnswer {
        data_source::answer(&query, &self.0, cancel).await
    }
}
