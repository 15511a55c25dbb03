//! `kiln build`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_agent::catalog::Factories;
use kiln_config::Request;
use kiln_lang::Diagnostic;
use kiln_plan::id::BuildId;
use kiln_plan::{Event, EventKind};

use crate::arguments::BuildArguments;
use crate::command::complain_of_count;
use crate::evaluation::LocalEvaluation;
use crate::exit_code::Ended;
use crate::farm_client::{FarmClient, FarmError};
use crate::farm_of_one::FarmOfOne;
use crate::interrupt::{Interrupt, Interrupts};
use crate::render::run::RunView;
use crate::render::{Screen, diagnostic};
use crate::{request, run_directory};

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
    let run_dir = run_directory::path();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(screen, &format!("cannot start: {error}")),
    };
    let left = runtime.block_on(async {
        run_directory::clear(&run_dir, screen).await;
        build(&request, parallel, screen).await
    });
    // A line that was never typed must not keep the program from ending.
    runtime.shutdown_timeout(HURRY);
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
    let reply = tokio::select! {
        reply = client.submit(request, parallel) => reply,
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
        if !reply.diagnostics.has_errors() {
            let detail = "The template has no build that -only and -except leave over.";
            let nothing = Diagnostic::error("No builds to run", detail);
            diagnostic::show(screen, &nothing.into(), &evaluation.sources());
        }
        return Left::Ended(Ended::Failed);
    };
    let mut following = Follow { client, build, screen, interrupted: false };
    let mut view = RunView::new(screen, reply.tasks);
    view.header();
    match following.until_the_end(&mut view, interrupts).await {
        Ok(true) => {}
        Ok(false) => return Left::Behind,
        Err(error) => {
            screen.error(&kiln_plan::fault::chain(&error));
            return Left::Behind;
        }
    }
    let ended = view.finish(started.elapsed(), following.interrupted);
    // A build that could not be prepared is a failure even when all others went well.
    Left::Ended(if reply.diagnostics.has_errors() { Ended::Failed } else { ended })
}

/// A build that is being followed.
struct Follow<'a> {
    client: FarmClient,
    build: BuildId,
    screen: &'a Screen,
    interrupted: bool,
}

impl Follow<'_> {
    /// Shows what happens until all has ended; `false` when a person didn't want to wait for that.
    async fn until_the_end(
        &mut self,
        view: &mut RunView<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<bool, FarmError> {
        let mut events = self.client.follow(self.build).await?;
        loop {
            tokio::select! {
                update = events.next() => match update? {
                    Some(events) => for event in &events {
                        view.event(event);
                        self.answer(event, view);
                    },
                    None => return Ok(true),
                },
                interrupt = interrupts.next() => match interrupt {
                    Interrupt::Cancel(name) => {
                        self.interrupted = true;
                        self.screen.plain_error(&format!("Cancelling build after receiving {name}"));
                        self.client.cancel(self.build).await?;
                    }
                    Interrupt::Leave => {
                        self.screen.settle();
                        self.screen.plain_error("Leaving at once; removing what is left");
                        return Ok(false);
                    }
                },
            }
        }
    }

    /// Passes a question on to whoever sits there, while events go on coming.
    fn answer(&self, event: &Event, view: &RunView<'_>) {
        let EventKind::Question { id, text } = &event.kind else { return };
        let asked = self.screen.ask(&format!("==> {}: {text}", view.name(event.task)));
        let (mut client, task, id) = (self.client.clone(), event.task, *id);
        tokio::spawn(async move {
            let text = asked.await;
            // A task that has ended meanwhile needs no answer any more.
            let _ = client.answer(task, id, text).await;
        });
    }
}

fn failed(screen: &Screen, why: &str) -> Ended {
    screen.error(why);
    Ended::Failed
}
