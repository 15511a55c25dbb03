//! `kiln build -farm`: the same words and the same output, while the work is done elsewhere.
//!
//! ```text
//!   evaluate here (mistakes are told at once; what only this machine knows is noted) ─► bundle ─► submit ─► follow
//! ```

use std::sync::Arc;
use std::time::Instant;

use kiln_agent::catalog::Factories;
use kiln_config::world::Recorder;
use kiln_config::{Answers, Request, Submission};
use kiln_lang::{Diagnostics, SourceMap};
use kiln_plan::TraceParent;
use kiln_plan::fault::chain;
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
use crate::render::run::RunView;
use crate::render::{Screen, diagnostic};

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
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(screen, &format!("cannot start: {error}")),
    };
    let ended = runtime.block_on(async {
        match farm_connection::open(farm) {
            Ok(connection) => build(FarmClient::new(connection), prepared, wish, screen).await,
            Err(error) => failed(screen, &chain(&error)),
        }
    });
    runtime.shutdown_background();
    ended
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
    let reply = tokio::select! {
        reply = submit(&mut client, prepared, wish) => reply,
        interrupt = interrupts.next() => {
            if let Interrupt::Cancel(name) = interrupt {
                screen.plain_error(&format!("Cancelling build after receiving {name}"));
            }
            return Ended::Failed;
        }
    };
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return failed(screen, &chain(&error)),
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
    match Follow::new(client, build, screen).until_the_end(&mut view, &mut interrupts).await {
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

async fn submit(client: &mut FarmClient, prepared: Prepared, wish: &Wish) -> Result<SubmitReply, FarmError> {
    let digest = prepared.packed.files.digest();
    let packed = prepared.packed.files.pack()?;
    client.put_bundle(digest, packed).await?;
    let request = serde_json::to_vec(&prepared.submission).unwrap_or_default();
    let asked = SubmitRequest {
        request: request.into(),
        parallel: wish.parallel,
        bundle: Some(digest),
        project: wish.project.clone(),
        priority: wish.priority,
        join: wish.join,
        trace_parent: trace_parent(),
    };
    client.submit(asked).await
}

/// The span that this command is a part of, when whoever started it says so.
fn trace_parent() -> Option<TraceParent> {
    let given = std::env::var(TRACE_PARENT).ok()?;
    let parent = given.parse();
    parent.inspect_err(|error| tracing::debug!(%error, "{TRACE_PARENT} is left out")).ok()
}
