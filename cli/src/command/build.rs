//! `kiln build`

mod far;
pub(super) mod follow;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use far::Wish;
use follow::{Follow, Followed};
use kiln_agent::catalog::Factories;
use kiln_config::Request;
use kiln_lang::{Diagnostic, Diagnostics, SourceMap};
use kiln_proto::submission::SubmitRequest;

use crate::arguments::BuildArguments;
use crate::command::complain_of_count;
use crate::evaluation::LocalEvaluation;
use crate::exit_code::Ended;
use crate::farm_of_one::FarmOfOne;
use crate::interrupt::{Interrupt, Interrupts};
use crate::render::run::RunView;
use crate::render::{Screen, diagnostic};
use crate::{request, run_directory, runtime};

/// Builds what a template describes.
pub(crate) fn run(arguments: &BuildArguments, screen: &Screen) -> Ended {
    let path = match arguments.template.one_template() {
        Ok(path) => path,
        Err(count) => return complain_of_count(screen, "build", count),
    };
    let mut request = request::of(&arguments.template, path);
    request.warn_undeclared = arguments.warn_on_undeclared_var;
    request.options.force = arguments.force;
    request.options.debug = arguments.debug;
    request.options.on_error = arguments.on_error.unwrap_or_default();
    request.options.interactive = screen.somebody_is_there();
    if arguments.debug {
        screen.say("Debug mode enabled. Builds will not be parallelized.");
    }
    let parallel = if arguments.debug { 1 } else { u32::try_from(arguments.parallel_builds).unwrap_or(0) };
    if let Some(farm) = arguments.farm.chosen() {
        let wish = Wish {
            parallel,
            project: arguments.on_farm.project.clone(),
            priority: arguments.on_farm.priority,
            join: arguments.on_farm.join,
        };
        return far::run(&farm, request, &wish, screen);
    }
    let run_dir = run_directory::path();
    // A line that was never typed must not keep the program from ending.
    let left = runtime::run(HURRY, async {
        run_directory::clear(&run_dir, screen).await;
        build(&request, parallel, screen).await
    });
    let left = match left {
        Ok(left) => left,
        Err(why) => return failed(screen, &why),
    };
    if left == Left::Behind {
        clear_at_once(&run_dir, screen);
    }
    left.into()
}

/// Tasks of a run that was left have this long to come to a place where they can be broken off.
const HURRY: Duration = Duration::from_secs(1);

/// Removes what the broken off tasks had made, as the next run would.
fn clear_at_once(run_dir: &Path, screen: &Screen) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_directory::clear(run_dir, screen)),
        Err(error) => screen.error(&format!("cannot remove what is left ({error}); the next run will")),
    }
}

/// How a run was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// To its end.
    Ended(Ended),
    /// At once, with things left to remove.
    Behind,
}

impl From<Left> for Ended {
    fn from(left: Left) -> Self {
        match left {
            Left::Ended(ended) => ended,
            Left::Behind => Ended::Failed,
        }
    }
}

async fn build(request: &Request, parallel: u32, screen: &Screen) -> Left {
    let mut interrupts = match Interrupts::listen() {
        Ok(interrupts) => interrupts,
        Err(error) => return Left::Ended(failed(screen, &format!("cannot listen to signals: {error}"))),
    };
    let evaluation = LocalEvaluation::new(Arc::new(Factories::builtin()));
    let farm = match FarmOfOne::start(evaluation.clone()).await {
        Ok(farm) => farm,
        Err(error) => return Left::Ended(failed(screen, &kiln_plan::fault::chain(&error))),
    };
    let left = submitted(&farm, request, parallel, (screen, &mut interrupts, &evaluation)).await;
    if let Left::Ended(_) = left {
        farm.stop().await;
    }
    left
}

async fn submitted(
    farm: &FarmOfOne,
    request: &Request,
    parallel: u32,
    (screen, interrupts, evaluation): (&Screen, &mut Interrupts, &LocalEvaluation),
) -> Left {
    let started = Instant::now();
    let mut client = farm.client();
    let json = serde_json::to_vec(request).unwrap_or_default();
    let asked = SubmitRequest { request: json.into(), parallel, ..SubmitRequest::default() };
    let reply = tokio::select! {
        reply = client.submit(asked) => reply,
        interrupt = interrupts.next() => {
            if let Interrupt::Cancel(name) = interrupt {
                screen.plain_error(&format!("Cancelling build after receiving {name}"));
            }
            return Left::Ended(Ended::Failed);
        }
    };
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Left::Ended(failed(screen, &kiln_plan::fault::chain(&error))),
    };
    diagnostic::show(screen, &reply.diagnostics, &evaluation.sources());
    let Some(build) = reply.build else {
        say_if_nothing_is_left(screen, &reply.diagnostics);
        return Left::Ended(Ended::Failed);
    };
    let unprepared = reply.diagnostics.has_errors();
    let mut view = RunView::new(screen, reply.tasks);
    view.header();
    let followed = Follow::new(client, build, screen).until_the_end(&mut view, interrupts).await;
    let interrupted = match followed {
        Ok(Followed::ToTheEnd { interrupted }) => interrupted,
        Ok(Followed::Left) => return Left::Behind,
        Err(error) => {
            screen.error(&kiln_plan::fault::chain(&error));
            return Left::Behind;
        }
    };
    let ended = view.finish(started.elapsed(), interrupted);
    // A build that could not be prepared is a failure even when all others went well.
    Left::Ended(if unprepared { Ended::Failed } else { ended })
}

/// Says so when not a mistake but the choice of builds left none.
fn say_if_nothing_is_left(screen: &Screen, found: &Diagnostics) {
    if !found.has_errors() {
        let detail = "The template has no build that -only and -except leave over.";
        let nothing = Diagnostic::error("No builds to run", detail);
        diagnostic::show(screen, &nothing.into(), &SourceMap::default());
    }
}

fn failed(screen: &Screen, why: &str) -> Ended {
    screen.error(why);
    Ended::Failed
}
