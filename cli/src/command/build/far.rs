//! `kiln build -farm`: the same words and the same output, while the work is done elsewhere.
//!
//! ```text
//!   evaluate here (mistakes are told at once; what only this machine knows is noted) ─► bundle ─► submit ─► follow
//!                                                                                         ▲         │
//!                                                                    pause, trying again ─┴─────────┘ out of reach
//! ```
//!
//! What is sent again is not built again: all tries of one submission have one key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_agent::catalog::Factories;
use kiln_config::world::Recorder;
use kiln_config::{Answers, Request, Submission};
use kiln_lang::{Diagnostics, SourceMap};
use kiln_plan::TraceParent;
use kiln_plan::fault::chain;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::RequestId;
use kiln_proto::Bytes;
use kiln_proto::submission::{SubmitReply, SubmitRequest};

use super::follow::{Follow, Followed};
use super::{failed, say_if_nothing_is_left};
use crate::arguments::farm::ChosenFarm;
use crate::bundle::{self, Packed};
use crate::evaluation::{Depth, LocalEvaluation};
use crate::exit_code::Ended;
use crate::farm_client::{FarmClient, FarmError};
use crate::farm_connection;
use crate::interrupt::{Interrupt, Interrupts};
use crate::local_host::LocalHost;
use crate::patience::Patience;
use crate::render::run::RunView;
use crate::render::{Screen, diagnostic};
use crate::runtime;

/// How long a farm that is out of reach is tried again before it has taken the build: a coordinator restarts in less.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where tools that record traces tell the programs that they start which span these are a part of.
const TRACE_PARENT: &str = "TRACEPARENT";

/// How a build is wished for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// The most tasks at once; 0 for no limit.
    pub(super) parallel: u32,
    /// Whose build it is; empty for the usual project.
    pub(super) project: String,
    /// Higher is sooner.
    pub(super) priority: i32,
    /// Whether a build of the same that is under way will do.
    pub(super) join: bool,
}

/// A template, ready to be sent.
struct Prepared {
    submission: Submission,
    packed: Packed,
    sources: SourceMap,
}

/// Lets a farm build what a template describes.
pub(super) fn run(farm: &ChosenFarm, request: Request, wish: &Wish, screen: &Screen) -> Ended {
    let prepared = match prepare(request) {
        Ok(prepared) => prepared,
        Err(Unprepared::Mistakes(found, sources)) => {
            diagnostic::show(screen, &found, &sources);
            return Ended::Failed;
        }
        Err(Unprepared::Failed(why)) => return failed(screen, &why),
    };
    let ended = runtime::run(Duration::ZERO, async {
        match farm_connection::open(farm) {
            Ok(connection) => build(FarmClient::new(connection), prepared, wish, screen).await,
            Err(error) => failed(screen, &chain(&error)),
        }
    });
    ended.unwrap_or_else(|why| failed(screen, &why))
}

/// Why a template can't be sent.
enum Unprepared {
    /// It has mistakes.
    Mistakes(Diagnostics, SourceMap),
    /// Its files can't.
    Failed(String),
}

/// Evaluates here, so that mistakes are told without a farm, and packs what the farm needs.
fn prepare(mut request: Request) -> Result<Prepared, Unprepared> {
    let told = |error: &(dyn std::error::Error + 'static)| Unprepared::Failed(chain(error));
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).map_err(|error| told(&error))?;
    request.path = bundle::relative(&request.path, &here);
    let recorder = Recorder::new(Arc::new(LocalHost::with_secret_stores()), &request.var_files);
    let evaluation = LocalEvaluation::with_host(Arc::new(Factories::builtin()), recorder.clone());
    // What data sources would answer stays open here; an agent asks them.
    let answers = Answers { placeholders: true, ..Answers::none() };
    let found = evaluation.run(&request, Depth::Full, &answers).diagnostics;
    if found.has_errors() {
        return Err(Unprepared::Mistakes(found, evaluation.sources()));
    }
    let packed = bundle::pack(&request.path, &here).map_err(|error| told(&error))?;
    let world = recorder.world(&packed.working_directory);
    Ok(Prepared { submission: Submission { request, world }, packed, sources: evaluation.sources() })
}

async fn build(mut client: FarmClient, prepared: Prepared, wish: &Wish, screen: &Screen) -> Ended {
    let mut interrupts = match Interrupts::listen() {
        Ok(interrupts) => interrupts,
        Err(error) => return failed(screen, &format!("cannot listen to signals: {error}")),
    };
    let started = Instant::now();
    let sources = prepared.sources.clone();
    for name in &prepared.packed.kept_back {
        screen.say(&format!("Not sent to the farm, since whoever has it can open one: {name}"));
    }
    let packed = match prepared.packed.files.pack() {
        Ok(packed) => packed.into(),
        Err(error) => return failed(screen, &chain(&FarmError::from(error))),
    };
    let sending = Sending { digest: prepared.packed.files.digest(), packed, asked: asked(&prepared, wish) };
    let reply = match sending.until_taken(&mut client, screen, &mut interrupts).await {
        Some(Ok(reply)) => reply,
        Some(Err(error)) => return failed(screen, &chain(&error)),
        None => return Ended::Failed,
    };
    diagnostic::show(screen, &reply.diagnostics, &sources);
    let Some(build) = reply.build else {
        say_if_nothing_is_left(screen, &reply.diagnostics);
        return Ended::Failed;
    };
    screen.say(&match reply.joined {
        true => format!("Following build {build}, which is under way already."),
        false => format!("The farm has taken build {build}."),
    });
    let unprepared = reply.diagnostics.has_errors();
    let mut view = RunView::new(screen, reply.tasks);
    view.header();
    match Follow::queued(client, build, screen).until_the_end(&mut view, &mut interrupts).await {
        Ok(Followed::ToTheEnd { interrupted }) => {
            let ended = view.finish(started.elapsed(), interrupted);
            if unprepared { Ended::Failed } else { ended }
        }
        Ok(Followed::Left) => Ended::Failed,
        Err(error) => {
            screen.settle();
            failed(screen, &format!("{}; the build goes on, see `kiln farm logs {build}`", chain(&error)))
        }
    }
}

/// What is asked of the farm, with a key of its own.
fn asked(prepared: &Prepared, wish: &Wish) -> SubmitRequest {
    let request = serde_json::to_vec(&prepared.submission).unwrap_or_default();
    SubmitRequest {
        request: request.into(),
        parallel: wish.parallel,
        bundle: Some(prepared.packed.files.digest()),
        project: wish.project.clone(),
        priority: wish.priority,
        join: wish.join,
        key: Some(RequestId::new(uuid::Uuid::new_v4())),
        trace_parent: trace_parent(),
    }
}

/// A submission on its way.
struct Sending {
    digest: Fingerprint,
    packed: Bytes,
    asked: SubmitRequest,
}

impl Sending {
    /// Sends until the farm has taken it or refuses; `None` when a person doesn't want to wait for that.
    async fn until_taken(
        &self,
        client: &mut FarmClient,
        screen: &Screen,
        interrupts: &mut Interrupts,
    ) -> Option<Result<SubmitReply, FarmError>> {
        let mut patience = Patience::of(PATIENCE);
        let mut asked_for = false;
        let mut tries = 0_u32;
        loop {
            tries += 1;
            let sent = tokio::select! {
                sent = self.send(client, &mut asked_for) => sent,
                interrupt = interrupts.next() => return left(screen, interrupt, asked_for),
            };
            let error = match sent {
                Err(error) if error.is_passing() => error,
                sent => {
                    if tries > 1 && sent.is_ok() {
                        screen.say("The farm answers again.");
                    }
                    return Some(sent);
                }
            };
            if tries == 1 {
                let minutes = PATIENCE.as_secs() / 60;
                let told = chain(&error);
                screen.plain_error(&format!("{told}; trying again for up to {minutes} minutes"));
            }
            tokio::select! {
                more = patience.pause() => if !more { return Some(Err(error)) },
                interrupt = interrupts.next() => return left(screen, interrupt, asked_for),
            }
        }
    }

    async fn send(&self, client: &mut FarmClient, asked_for: &mut bool) -> Result<SubmitReply, FarmError> {
        client.put_bundle(self.digest, &self.packed).await?;
        *asked_for = true;
        client.submit(self.asked.clone()).await
    }
}

/// A person doesn't want to wait for the farm. Its answer may be on its way.
fn left(screen: &Screen, interrupt: Interrupt, asked_for: bool) -> Option<Result<SubmitReply, FarmError>> {
    if let Interrupt::Cancel(name) = interrupt {
        screen.plain_error(&format!("Cancelling build after receiving {name}"));
    }
    if asked_for {
        screen.plain_error("The farm may have taken the build before; see `kiln farm builds`");
    }
    None
}

/// The span that this command is a part of, when whoever started it says so.
fn trace_parent() -> Option<TraceParent> {
    let given = std::env::var(TRACE_PARENT).ok()?;
    let parent = given.parse();
    parent.inspect_err(|error| tracing::debug!(%error, "{TRACE_PARENT} is left out")).ok()
}
